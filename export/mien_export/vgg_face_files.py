# SPDX-License-Identifier: Apache-2.0
"""The layouts in which VGG-Face is published, to the names of ``networks/vgg_face.py``.

``rename_from_vgg_face``    conv1_1.weight: mien's own files, and ports from MatConvNet
                            (``vgg_face_dag``); fed RGB.
``rename_from_torch_port``  conv_1_1.weight: ``vgg-face.pytorch``, from Oxford's Lua torch file,
                            which was made from Caffe's; fed BGR. Its demonstration takes the RGB
                            means from BGR; here each colour loses its own.
``rename_from_keras``       ``rcmalli_vggface_tf_vgg16.h5``: kernels (H, W, in, out), fc6 over the
                            last map flattened in the order H, W, C; its preprocessing feeds BGR.
``rename_from_deepface``    ``vgg_face_weights.h5``: layers without names of their own, in order;
                            fc6 to fc8 are convolutions of 7x7, 1x1 and 1x1; deepface feeds BGR.
``rename_from_caffe2``      conv1_1_w and conv1_1_b: blobs as Caffe2's ``caffe_translator.py`` names
                            them, in a .npz or torch file; arrays lie as in Caffe; fed BGR.

fc8 is dropped whatever the number of its classes, but only if it is a classifier of fc7: 2,622
people of VGG-Face, 10,575 of CASIA-WebFace in adapted networks. A name that a layout does not have
is an error, even if it is ours: the colours of that file would be in another order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from mien_export.checkpoints import Tensors, some, without_prefixes
from mien_export.errors import CheckpointError
from mien_export.networks.vgg_face import VGG_FACE

_CONVOLUTIONS = tuple(name for block in VGG_FACE.convolutions for name in block)
_FULLY_CONNECTED = ("fc6", "fc7", "fc8")
_LAYERS = (*_CONVOLUTIONS, *_FULLY_CONNECTED)
_FIRST_KERNEL = f"{_CONVOLUTIONS[0]}.weight"
_LAST_BIAS = f"{_CONVOLUTIONS[-1]}.bias"
_PARTS = ("weight", "bias")
# Ours by theirs.
_TORCH_PORT = {
    f"{n}.{part}".replace("conv", "conv_"): f"{n}.{part}" for n in _LAYERS for part in _PARTS
}
_CAFFE2 = {f"{n}_{part[0]}": f"{n}.{part}" for n in _LAYERS for part in _PARTS}
_KERAS = {
    f"{n}/{part.replace('weight', 'kernel')}": f"{n}.{part}" for n in _LAYERS for part in _PARTS
}


def rename_from_vgg_face(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take files with our names, fed RGB, perhaps wrapped."""
    return _without_classifier(without_prefixes(tensors, ("module.",)))


def rename_from_torch_port(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take vgg-face.pytorch: an underscore more in each name, fed BGR.

    Raises:
        CheckpointError: a name is not of this layout.
    """
    renamed = _renamed(without_prefixes(tensors, ("module.",)), _TORCH_PORT)
    return _without_classifier(_rgb_from_bgr(renamed))


def rename_from_caffe2(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take blobs that Caffe2's translator named; they lie as ours do, fed BGR.

    Raises:
        CheckpointError: a name is not of this layout.
    """
    return _without_classifier(_rgb_from_bgr(_renamed(tensors, _CAFFE2)))


def rename_from_keras(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take rcmalli's Keras file: dense layers over a map flattened in the order H, W, C.

    Raises:
        CheckpointError: a name is not of this layout.
    """
    renamed = _renamed(tensors, _KERAS)
    channels = renamed[_LAST_BIAS].numel() if _LAST_BIAS in renamed else 0
    for key, value in renamed.items():
        if key.endswith(".weight") and value.ndim == 4:
            renamed[key] = _from_hwio(value)
        elif key == "fc6.weight" and value.ndim == 2:
            renamed[key] = _channel_major(value, channels)
        elif key.endswith(".weight"):
            renamed[key] = value.mT if value.ndim == 2 else value
    return _without_classifier(_rgb_from_bgr(renamed))


def rename_from_deepface(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take deepface's Keras file: sixteen convolutions by their order in the file.

    Raises:
        CheckpointError: there are others than 16 layers with weights, or 15 without fc8.
    """
    layers = list(dict.fromkeys(key.rpartition("/")[0] for key in tensors))
    are_keras = all(key.endswith(("/kernel", "/bias")) for key in tensors)
    if len(layers) not in (len(_LAYERS), len(_LAYERS) - 1) or not are_keras:
        raise CheckpointError(
            f"the file has {len(layers)} layers with weights, such as {some(list(tensors))}; "
            f"deepface's VGG-Face has {len(_LAYERS)}, or {len(_LAYERS) - 1} without its "
            "classifier, of a kernel and a bias in Keras's .h5. Choose the layout with --network."
        )
    place = dict(zip(layers, _LAYERS, strict=False))
    renamed: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        layer, _, part = key.rpartition("/")
        ours = _KERAS[f"{place[layer]}/{part}"]
        kernel = _from_hwio(value) if value.ndim == 4 else value
        is_flat = place[layer] in _FULLY_CONNECTED and value.ndim == 4
        renamed[ours] = kernel.flatten(1) if is_flat else kernel
    return _without_classifier(_rgb_from_bgr(renamed))


def _renamed(tensors: Tensors, ours: Mapping[str, str]) -> dict[str, torch.Tensor]:
    unknown = [key for key in tensors if key not in ours]
    if unknown:
        raise CheckpointError(
            f"the file has {len(unknown)} names that are not of this layout of VGG-Face: "
            f"{some(unknown)}; expected such as {next(iter(ours))}. Choose the layout with "
            "--network."
        )
    return {ours[key]: value for key, value in tensors.items()}


def _from_hwio(kernel: torch.Tensor) -> torch.Tensor:
    """(H, W, C in, C out) to (C out, C in, H, W)."""
    return kernel.permute(3, 2, 0, 1)


def _channel_major(matrix: torch.Tensor, channels: int) -> torch.Tensor:
    """(H * W * C, out) to (out, C * H * W)."""
    side = math.isqrt(len(matrix) // channels) if channels else 0
    if channels * side * side != len(matrix):
        return matrix.mT  # of no square map with these channels: strict loading names it
    return _from_hwio(matrix.reshape(side, side, channels, -1)).flatten(1)


def _rgb_from_bgr(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    first = tensors.get(_FIRST_KERNEL)
    if first is None or first.ndim != 4:
        return tensors
    return tensors | {_FIRST_KERNEL: first.flip(1)}


def _without_classifier(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    weight, bias = shapes.get("fc8.weight"), shapes.get("fc8.bias")
    features = shapes.get("fc7.bias")
    if weight is None or bias is None or features is None or weight != (*bias, *features):
        return dict(tensors)
    return {key: value for key, value in tensors.items() if not key.startswith("fc8.")}
