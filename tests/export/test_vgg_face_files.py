# SPDX-License-Identifier: Apache-2.0
"""Each published layout, written here as its own program does, against that layout by hand."""

import h5py
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mien_export.checkpoints import load_strictly, read_checkpoint
from mien_export.errors import CheckpointError
from mien_export.networks.vgg_face import VggFace
from mien_export.vgg_face_files import (
    rename_from_caffe2,
    rename_from_deepface,
    rename_from_keras,
    rename_from_torch_port,
    rename_from_vgg_face,
)
from mien_export.wrappers import VggFaceRecognizer

from .vgg_face_oracle import (
    SIDE,
    TINY_VGG,
    caffe_arrays,
    features_by_hand,
    keras_arrays,
    photographs,
)

torch.set_num_threads(1)


def write_keras(path, layers, weights_of, weightless=("pool1", "flatten", "fc6/relu")):
    """As Keras 2 does in save_weights: a group per layer, a group of its name in that."""
    with h5py.File(path, "w") as file:
        names = [*layers, *weightless]
        file.attrs["layer_names"] = [name.encode() for name in names]
        file.attrs["backend"] = b"tensorflow"
        for name in names:
            group = file.require_group(name)
            arrays = weights_of(name) if name in layers else {}
            keys = [f"{name}/{part}" for part in arrays]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, arrays.values(), strict=True):
                group[key] = array


def as_vgg_face(folder, arrays):
    state = {}
    for name, (kernel, bias) in arrays.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = map(torch.from_numpy, (kernel, bias))
    torch.save(state, folder / "vgg_face_dag.pth")
    return folder / "vgg_face_dag.pth"


def as_torch_port(folder, arrays):
    state = {}
    for name, (kernel, bias) in arrays.items():
        theirs = name.replace("conv", "conv_")
        state[f"{theirs}.weight"], state[f"{theirs}.bias"] = map(torch.from_numpy, (kernel, bias))
    torch.save(state, folder / "vgg_face.pth")
    return folder / "vgg_face.pth"


def as_caffe2(folder, arrays):
    blobs = {f"{n}_w": kernel for n, (kernel, _) in arrays.items()}
    np.savez(folder / "blobs.npz", **blobs, **{f"{n}_b": bias for n, (_, bias) in arrays.items()})
    return folder / "blobs.npz"


def as_keras(folder, arrays):
    def weights_of(name):
        return dict(zip(("kernel:0", "bias:0"), arrays[name], strict=True))

    write_keras(folder / "tf_vgg16.h5", list(arrays), weights_of)
    return folder / "tf_vgg16.h5"


def as_deepface(folder, arrays):
    """Layers have numbers instead of names, and everything is a convolution."""
    numbered = {f"conv2d_{i}": pair for i, pair in enumerate(arrays.values(), start=1)}
    sides = {"conv2d_14": SIDE, "conv2d_15": 1, "conv2d_16": 1}

    def weights_of(name):
        kernel, bias = numbered[name]
        side = sides.get(name)
        if side and kernel.ndim == 2:
            kernel = kernel.reshape(side, side, -1, len(bias))
        return {"kernel:0": kernel, "bias:0": bias}

    weightless = ("zero_padding2d_1", "max_pooling2d_1", "dropout_1", "flatten_1")
    write_keras(folder / "vgg_face_weights.h5", list(numbered), weights_of, weightless)
    return folder / "vgg_face_weights.h5"


# name: writer, arrays, loader, whether its program feeds BGR, whether it flattens H, W, C.
LAYOUTS = {
    "vgg_face": (as_vgg_face, caffe_arrays, rename_from_vgg_face, False, False),
    "torch_port": (as_torch_port, caffe_arrays, rename_from_torch_port, True, False),
    "caffe2": (as_caffe2, caffe_arrays, rename_from_caffe2, True, False),
    "keras": (as_keras, keras_arrays, rename_from_keras, True, True),
    "deepface": (as_deepface, keras_arrays, rename_from_deepface, True, True),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def load(path, rename):
    network = VggFace(TINY_VGG).eval()
    load_strictly(network, read_checkpoint(path), rename)
    return network


@each_layout
@pytest.mark.parametrize("num_classes", [5, 10_575], ids=str)
def test_a_file_gives_what_its_own_program_does(layout, num_classes, tmp_path):
    write, make, rename, is_bgr, channels_last = LAYOUTS[layout]
    arrays, images = make(num_classes), photographs()
    network = load(write(tmp_path, arrays), rename)

    with torch.inference_mode():
        embedding = VggFaceRecognizer(network)(torch.from_numpy(images)).numpy()
    _, fc7 = features_by_hand(arrays, images, is_bgr=is_bgr, flattens_channels_last=channels_last)
    _, swapped = features_by_hand(
        arrays, images, is_bgr=not is_bgr, flattens_channels_last=channels_last
    )

    wanted, wrong = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (fc7, swapped))
    assert_allclose(embedding, wanted, atol=1e-5)
    assert np.abs(wrong - wanted).max() > 1e-2, "the colours must count"


def test_the_order_of_flattening_counts():
    arrays, images = keras_arrays(), photographs()
    last, first = (
        features_by_hand(arrays, images, is_bgr=True, flattens_channels_last=order)[0]
        for order in (True, False)
    )

    assert np.abs(last - first).max() > 1


@each_layout
def test_a_file_without_a_classifier_loads(layout, tmp_path):
    write, make, rename, *_ = LAYOUTS[layout]
    arrays = make()
    del arrays["fc8"]

    network = load(write(tmp_path, arrays), rename)

    assert_allclose(network.fc7.bias.detach().numpy(), arrays["fc7"][1])


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "deepface"])
def test_a_missing_layer_is_named(layout, tmp_path):
    write, make, rename, *_ = LAYOUTS[layout]
    arrays = make()
    del arrays["conv3_2"]

    with pytest.raises(CheckpointError, match=r"missing: conv3_2\.weight"):
        load(write(tmp_path, arrays), rename)


@pytest.mark.parametrize("count", [14, 17])
def test_a_deepface_file_of_more_or_fewer_layers_is_refused(count, tmp_path):
    """Its layers have no names, so none that is missing can be named."""
    layers = [f"conv2d_{i}" for i in range(count)]
    arrays = {"kernel:0": np.zeros((1, 1, 2, 2), np.float32), "bias:0": np.zeros(2, np.float32)}
    write_keras(tmp_path / "w.h5", layers, lambda name: arrays, ())

    with pytest.raises(CheckpointError, match=f"has {count} layers with weights"):
        load(tmp_path / "w.h5", rename_from_deepface)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "deepface"])
def test_a_layer_too_many_is_named(layout, tmp_path):
    write, make, rename, *_ = LAYOUTS[layout]
    arrays = make()
    arrays["fc9"] = arrays["fc8"]

    with pytest.raises(CheckpointError, match=r"2 (unexpected: fc9|names that are not .*: fc9)"):
        load(write(tmp_path, arrays), rename)


@each_layout
def test_a_kernel_of_another_shape_is_named(layout, tmp_path):
    write, make, rename, *_ = LAYOUTS[layout]
    arrays = make()
    kernel, bias = arrays["conv2_1"]
    arrays["conv2_1"] = (kernel[:, :, :2], bias)

    with pytest.raises(CheckpointError, match=r"mis-shaped: conv2_1\.weight"):
        load(write(tmp_path, arrays), rename)


@pytest.mark.parametrize("layout", ["vgg_face", "keras"])
@pytest.mark.parametrize("part", [0, 1], ids=["kernel", "bias"])
def test_what_is_no_classifier_of_fc7_is_not_dropped(layout, part, tmp_path):
    write, make, rename, *_ = LAYOUTS[layout]
    arrays = make()
    pair = list(arrays["fc8"])
    pair[part] = np.zeros((4,) * pair[part].ndim, np.float32)
    arrays["fc8"] = tuple(pair)

    with pytest.raises(CheckpointError, match=r"2 unexpected: fc8\.weight, fc8\.bias"):
        load(write(tmp_path, arrays), rename)


def test_layouts_are_not_taken_for_one_another(tmp_path):
    for written in LAYOUTS:
        for chosen in LAYOUTS:
            if written != chosen:
                write, make, *_ = LAYOUTS[written]
                path = write(tmp_path, make())
                with pytest.raises(CheckpointError):
                    load(path, LAYOUTS[chosen][2])


def test_a_map_that_is_not_square_is_mis_shaped(tmp_path):
    arrays = keras_arrays()
    kernel, bias = arrays["fc6"]
    arrays["fc6"] = (kernel[: TINY_VGG.widths[-1] * 3], bias)

    with pytest.raises(CheckpointError, match=r"mis-shaped: fc6\.weight"):
        load(as_keras(tmp_path, arrays), rename_from_keras)
