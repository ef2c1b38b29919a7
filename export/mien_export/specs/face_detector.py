# SPDX-License-Identifier: Apache-2.0
"""face_detector: an image to face candidates, decoded; from a released ONNX file only."""

from __future__ import annotations

from mien_export.detector_decode import SCRFD, YUNET
from mien_export.detector_from_onnx import FP32_NODE_PREFIX, DetectorNetwork
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec

_SAME = "the same fp32 network decoded twice; coordinates up to about 1000 have steps of 6e-5"
_HALF = "11 significant bits in the network, decoding in fp32; offsets are a few strides of 32 px"

_FP16 = {
    "scores": Tolerance(_HALF, max_abs=0.02),
    "boxes_xyxy": Tolerance(_HALF, max_abs=2.0),
    "landmarks": Tolerance(_HALF, max_abs=2.0),
}

SPEC = ExportSpec(
    model="face_detector",
    networks={
        "yunet": DetectorNetwork(
            summary="opencv_zoo face_detection_yunet_2023mar.onnx, 75.9 k parameters",
            licence_note="MIT (opencv_zoo); trained on WIDER FACE",
            family=YUNET,
        ),
        "scrfd": DetectorNetwork(
            summary="insightface SCRFD with landmarks (9 outputs), 0.6 to 3.9 M parameters",
            licence_note="code MIT; insightface's files non-commercial",
            family=SCRFD,
        ),
    },
    default_network="yunet",
    tolerances={
        "fp32": {
            "scores": Tolerance(_SAME, max_abs=1e-4),
            "boxes_xyxy": Tolerance(_SAME, max_abs=0.01),
            "landmarks": Tolerance(_SAME, max_abs=0.01),
        },
        "fp16": _FP16,
        "tensorrt": _FP16,
    },
    fp32_node_prefix=FP32_NODE_PREFIX,
    is_optional=True,
)
