# SPDX-License-Identifier: Apache-2.0
"""Faces from the graph `face_detector`: letterbox, call, threshold, suppress.

The graph decodes its own anchors (`model_repository/face_detector/config.pbtxt`), so this code is
the same for YuNet and SCRFD. Letters: B images, A candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.detection.detection import Detection

__all__ = ["DETECTOR_INPUT", "DETECTOR_OUTPUTS", "GraphDetector", "letterbox", "suppress"]

DETECTOR_INPUT = "image_rgb"
DETECTOR_OUTPUTS = ("scores", "boxes_xyxy", "landmarks")
SIDE_PX = 640
NMS_IOU = 0.4

# (B, 3, 640, 640) float32 -> scores (B, A), boxes_xyxy (B, A, 4), landmarks (B, A, 5, 2)
Infer = Callable[
    [NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
]


class GraphDetector:
    """`FaceDetector` on a graph that another model serves.

    Args:
        infer: runs the graph on at most `max_batch` images.
        score_threshold: candidates below it are dropped, 0..1.
        max_batch: the graph's `max_batch_size`.
    """

    def __init__(self, infer: Infer, *, score_threshold: float, max_batch: int = 8) -> None:
        self._infer = infer
        self._score_threshold = score_threshold
        self._max_batch = max_batch

    def detect(
        self,
        images_rgb: Sequence[NDArray[np.uint8]],
        *,
        thorough: Sequence[bool],  # noqa: ARG002 -- one pass finds every face this graph can find
    ) -> list[list[Detection]]:
        """See `FaceDetector.detect`."""
        found: list[list[Detection]] = []
        for start in range(0, len(images_rgb), self._max_batch):
            boxed = [letterbox(image) for image in images_rgb[start : start + self._max_batch]]
            outputs = self._infer(np.stack([image for image, _ in boxed]))
            for (_, factor), *candidates in zip(boxed, *outputs, strict=True):
                found.append(self._select(factor, *candidates))
        return found

    def _select(
        self,
        factor: float,
        scores: NDArray[np.float32],
        boxes_xyxy: NDArray[np.float32],
        landmarks: NDArray[np.float32],
    ) -> list[Detection]:
        sure = np.flatnonzero(scores >= self._score_threshold)
        kept = sure[suppress(boxes_xyxy[sure], scores[sure])]
        faces = [
            Detection(
                boxes_xyxy[i].astype(np.float64) / factor,
                landmarks[i].astype(np.float64) / factor,
                float(scores[i]),
                "landmarks",
            )
            for i in kept
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)


def letterbox(image_rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """Scale to fit 640 x 640, keeping the ratio, placed top-left on zeros.

    Args:
        image_rgb: (H, W, 3) uint8.

    Returns:
        (3, 640, 640) float32, 0..255, and the factor `letterboxed pixels / image pixels`.
    """
    height, width = image_rgb.shape[:2]
    factor = SIDE_PX / max(height, width)
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    scaled = cv2.resize(image_rgb, size, interpolation=interpolation)
    boxed = np.zeros((3, SIDE_PX, SIDE_PX), np.float32)
    boxed[:, : size[1], : size[0]] = scaled.transpose(2, 0, 1)
    return boxed, factor


def suppress(
    boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32], iou: float = NMS_IOU
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes_xyxy: (A, 4).
        scores: (A,).
        iou: boxes overlapping a better one by more are dropped.

    Returns:
        (K,) indices of the boxes kept, best first.
    """
    order = np.argsort(-scores, kind="stable")
    areas = np.prod(np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None), axis=1)
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        near = np.maximum(boxes_xyxy[rest, :2], boxes_xyxy[best, :2])
        far = np.minimum(boxes_xyxy[rest, 2:], boxes_xyxy[best, 2:])
        shared = np.prod(np.clip(far - near, 0, None), axis=1)
        union = areas[rest] + areas[best] - shared
        order = rest[shared <= iou * union]
    return np.asarray(kept, dtype=np.intp)
