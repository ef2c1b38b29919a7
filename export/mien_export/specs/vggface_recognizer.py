# SPDX-License-Identifier: Apache-2.0
"""vggface_recognizer: an aligned crop to the identity embedding of VGG-Face."""

from __future__ import annotations

import functools

from mien_export.checkpoints import Rename
from mien_export.networks.vgg_face import VGG_FACE, VGG_FACE_NARROW, VggFace, VggFaceConfig
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.vgg_face_files import (
    rename_from_caffe2,
    rename_from_deepface,
    rename_from_keras,
    rename_from_torch_port,
    rename_from_vgg_face,
)
from mien_export.wrappers import VggFaceRecognizer

_LICENCE = "VGG-Face: said to be restricted to research; training set non-commercial"


def _network(
    summary: str,
    rename: Rename,
    config: VggFaceConfig = VGG_FACE,
    licence_note: str = _LICENCE,
) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(VggFace, config),
        wrap=VggFaceRecognizer,
        rename=rename,
    )


SPEC = ExportSpec(
    model="vggface_recognizer",
    networks={
        "vgg_face_narrow": _network(
            "5.8 M parameters, a sixtieth of the work of vgg_face, conv1_1.weight, RGB",
            rename_from_vgg_face,
            VGG_FACE_NARROW,
            "none published",
        ),
        "vgg_face": _network("134.3 M parameters, conv1_1.weight, RGB", rename_from_vgg_face),
        "vgg_face_torch_port": _network(
            "134.3 M parameters, conv_1_1.weight, BGR inside: vgg-face.pytorch",
            rename_from_torch_port,
        ),
        "vgg_face_keras": _network(
            "134.3 M parameters, .h5, BGR inside: rcmalli_vggface_tf_vgg16", rename_from_keras
        ),
        "vgg_face_deepface": _network(
            "134.3 M parameters, .h5, BGR inside: deepface", rename_from_deepface
        ),
        "vgg_face_caffe2": _network(
            "134.3 M parameters, conv1_1_w, BGR inside: Caffe2's translator", rename_from_caffe2
        ),
    },
    default_network="vgg_face",
    tolerances={
        "fp32": {
            "embedding": Tolerance(
                "two fp32 evaluations that differ in summation order only: about 1e-6 per element",
                min_cosine=0.99999,
                max_abs=1e-4,
            )
        },
        "fp16": {
            "embedding": Tolerance(
                "11 significant bits through 15 layers; moves a similarity by less than 0.005",
                min_cosine=0.999,
            )
        },
        "int8": {
            "embedding": Tolerance(
                "8 bits per activation and weight on images like those it was calibrated with",
                min_cosine=0.95,
            )
        },
        "tensorrt": {
            "embedding": Tolerance(
                "the fp16 graph with TensorRT's own summation order", min_cosine=0.999
            )
        },
    },
    # Preprocessing and the L2 norm: sums of squares of 4096 features overflow in fp16.
    fp32_op_types=("Sub", "Div", "ReduceL2", "Clip"),
    is_optional=True,
)
