# SPDX-License-Identifier: Apache-2.0
"""face_recognizer: an aligned crop to the identity embedding of the face in it."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_from_adaface, rename_from_arcface, rename_from_tface
from mien_export.networks.ir50 import IR50, IRBackbone
from mien_export.networks.iresnet import (
    IRESNET18,
    IRESNET18_NARROW,
    IRESNET34,
    IRESNET50,
    IRESNET100,
    IResNet,
    IResNetConfig,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import FaceRecognizer

_ARCFACE_LICENCE = (
    "insightface packs: non-commercial; ElasticFace (r100): CC BY-NC-SA 4.0; "
    "training sets non-commercial"
)
_STARTER_LICENCE = "mien's starter weights: Apache-2.0"
_IR_LICENCE = "TFace: see the release; training sets non-commercial"
_ADAFACE_LICENCE = "AdaFace code MIT; weights from MS1M or WebFace, non-commercial data"

TOLERANCES = {
    "fp32": {
        "embedding": Tolerance(
            "two fp32 evaluations that differ in summation order only: about 1e-6 per element",
            min_cosine=0.99999,
            max_abs=1e-4,
        )
    },
    "fp16": {
        "embedding": Tolerance(
            "11 significant bits through 100 layers; moves a similarity by less than 0.005",
            min_cosine=0.999,
        )
    },
    "int8": {
        "embedding": Tolerance(
            "8 bits per activation and weight on images like those it was calibrated with; below "
            "this a similarity can move by 0.3 and a threshold means nothing",
            min_cosine=0.95,
        )
    },
    "tensorrt": {
        "embedding": Tolerance(
            "the fp16 graph with TensorRT's own summation order", min_cosine=0.999
        )
    },
}


def _iresnet(
    config: IResNetConfig, summary: str, licence_note: str = _ARCFACE_LICENCE
) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(IResNet, config),
        wrap=FaceRecognizer,
        rename=rename_from_arcface,
    )


SPEC = ExportSpec(
    model="face_recognizer",
    networks={
        "iresnet18_narrow": _iresnet(
            IRESNET18_NARROW,
            "6.3 M parameters, a tenth of the work of iresnet18, RGB: starter weights",
            _STARTER_LICENCE,
        ),
        "iresnet18": _iresnet(IRESNET18, "24.0 M parameters, RGB"),
        "iresnet34": _iresnet(IRESNET34, "34.1 M parameters, RGB"),
        "iresnet50": _iresnet(IRESNET50, "43.6 M parameters, RGB"),
        "iresnet100": _iresnet(IRESNET100, "65.2 M parameters, RGB"),
        "ir50": TorchNetwork(
            summary="43.6 M parameters, RGB: TFace",
            licence_note=_IR_LICENCE,
            config=IR50,
            make=functools.partial(IRBackbone, IR50),
            wrap=FaceRecognizer,
            rename=rename_from_tface,
        ),
        "adaface_ir50": TorchNetwork(
            summary="43.6 M parameters, BGR inside: AdaFace",
            licence_note=_ADAFACE_LICENCE,
            config=IR50,
            make=functools.partial(IRBackbone, IR50),
            wrap=functools.partial(FaceRecognizer, is_bgr=True),
            rename=rename_from_adaface,
        ),
    },
    default_network="iresnet50",
    tolerances=TOLERANCES,
    # Preprocessing and the L2 norm: sums of squares of 512 features overflow in fp16.
    fp32_op_types=("Sub", "Div", "ReduceL2", "Clip"),
)
