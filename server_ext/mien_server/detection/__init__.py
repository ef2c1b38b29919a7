# SPDX-License-Identifier: Apache-2.0
"""Face detection: an upright RGB image in, boxes with landmarks out.

A detector is anything with the shape of `FaceDetector`. Two exist: the Haar cascades that ship
inside OpenCV, and the graph `face_detector` of the repository (YuNet or SCRFD).
"""

from mien_server.detection.cascade import CascadeDetector
from mien_server.detection.detection import Detection, FaceDetector
from mien_server.detection.graph import DETECTOR_INPUT, DETECTOR_OUTPUTS, GraphDetector

__all__ = [
    "DETECTOR_INPUT",
    "DETECTOR_OUTPUTS",
    "CascadeDetector",
    "Detection",
    "FaceDetector",
    "GraphDetector",
]
