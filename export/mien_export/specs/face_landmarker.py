# SPDX-License-Identifier: Apache-2.0
"""face_landmarker: a loose crop to 68 and 5 landmarks and the probability of a face."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.landmarker import LANDMARKER, FaceLandmarker
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import LandmarksInPixels

_PLACE = Tolerance(
    "pixels; two orders of summation; a twentieth of a pixel of a 128 crop is what no one can mark",
    max_abs=0.05,
)
_PLACE_HALF = Tolerance(
    "pixels; 11 significant bits in the features; half a pixel is 1 % of the distance of the eyes, "
    "a quarter of the error of the landmarks themselves",
    max_abs=0.5,
)
_SCORE = Tolerance("a probability; two orders of summation", max_abs=1e-4)
_SCORE_HALF = Tolerance(
    "a probability; crosses no sensible threshold unless it was as near before", max_abs=0.02
)
_FP16 = {"landmarks_68": _PLACE_HALF, "landmarks": _PLACE_HALF, "face_score": _SCORE_HALF}

SPEC = ExportSpec(
    model="face_landmarker",
    networks={
        "landmarker": TorchNetwork(
            summary="0.24 M parameters, 39 M multiplications: starter weights",
            licence_note="mien's starter weights: Apache-2.0",
            config=LANDMARKER,
            make=functools.partial(FaceLandmarker, LANDMARKER),
            wrap=LandmarksInPixels,
            rename=rename_nothing,
        ),
    },
    default_network="landmarker",
    tolerances={
        "fp32": {"landmarks_68": _PLACE, "landmarks": _PLACE, "face_score": _SCORE},
        "fp16": _FP16,
        "tensorrt": _FP16,
    },
    # Preprocessing, and the sums of places: 64 pixels have steps of a sixteenth in fp16.
    fp32_op_types=("Sub", "Div", "Softmax", "Mul", "ReduceSum", "Sigmoid"),
    is_optional=True,
)
