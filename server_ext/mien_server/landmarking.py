# SPDX-License-Identifier: Apache-2.0
"""From detections to landmarks: loose square crops through the graph `face_landmarker`, twice.

The first pass sees the square around the detector's box, the second the one around the landmarks of
the first: what a coarse box costs in accuracy is won back. A window that shows no face gets a low
score and is dropped, so that a detector may be wrong cheaply.

Points are (x, y) pixels as in `mien_server.warping`; 5 landmarks in the order of
`mien_server.alignment`, 68 in that of iBUG 300-W (36:42 the image-left eye, 42:48 the image-right).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.detection import Detection
from mien_server.detection.graph import suppress
from mien_server.warping import inverted, moved, square, warped

__all__ = [
    "LANDMARKER_INPUT",
    "LANDMARKER_MAX_BATCH",
    "LANDMARKER_OUTPUTS",
    "Infer",
    "Landmarker",
    "loose_square",
    "square_from_landmarks",
]

LANDMARKER_INPUT = "face_128"
LANDMARKER_OUTPUTS = ("landmarks_68", "landmarks", "face_score")
LANDMARKER_MAX_BATCH = 32  # at most the graph's max_batch_size
SIZE_PX = 128

BOX_MARGIN = 1.5  # side of the first square, in longer sides of the detector's box
LANDMARKS_MARGIN = 1.6  # side of the second, in longer sides of the landmarks' own box
MIN_SIDE_PX = 2.0
# Two detections of one face end on the same landmarks.
SAME_FACE_IOU = 0.5

Array = NDArray[np.float64]

# (B, 3, 128, 128) float32 RGB 0..255 -> (B, 68, 2) and (B, 5, 2) pixels of the crop, (B, 1) 0..1
Infer = Callable[
    [NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
]


def loose_square(
    box_xyxy: NDArray[Any],
    eyes: NDArray[Any] | None = None,
    *,
    size: int = SIZE_PX,
) -> tuple[Array, Array]:
    """The window in which the landmarker first sees a detected face.

    A square of 1.5 times the longer side of the box, centred on the box, and turned so that the
    line through the eyes becomes horizontal where the detector knows the eyes.

    Args:
        box_xyxy: (4,) pixels of the image.
        eyes: (2, 2) image-left and image-right eye, or None: the square stays upright.
        size: pixels of the window along either side.

    Returns:
        (2, 3) `crop_from_image` and (2, 3) `image_from_crop`.
    """
    left, top, right, bottom = np.asarray(box_xyxy, np.float64)
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    side = BOX_MARGIN * max(right - left, bottom - top, MIN_SIDE_PX)
    angle = 0.0 if eyes is None else _direction(eyes[0], eyes[1])
    crop_from_image = square(centre, side, angle, size)
    return crop_from_image, inverted(crop_from_image)


def square_from_landmarks(
    landmarks_68: NDArray[Any], *, size: int = SIZE_PX
) -> tuple[Array, Array]:
    """The window in which the landmarker sees a face a second time.

    The eye line becomes horizontal; in that frame the square has the centre of the landmarks'
    bounding box and 1.6 times its longer side.

    Args:
        landmarks_68: (68, 2) pixels of the image.
        size: pixels of the window along either side.

    Returns:
        (2, 3) `crop_from_image` and (2, 3) `image_from_crop`.
    """
    points = np.asarray(landmarks_68, np.float64)
    angle = _direction(points[36:42].mean(axis=0), points[42:48].mean(axis=0))
    upright_from_image = square(np.zeros(2), 1.0, angle, 1)
    turned = moved(upright_from_image, points)
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = moved(inverted(upright_from_image), (low + high) / 2)
    side = LANDMARKS_MARGIN * max(float((high - low).max()), MIN_SIDE_PX)
    crop_from_image = square(centre, side, angle, size)
    return crop_from_image, inverted(crop_from_image)


class Landmarker:
    """Landmarks and a face score for detections of several images at once.

    Args:
        infer: runs the graph on at most `max_batch` crops.
        score_threshold: detections whose face score is lower are no faces, 0..1.
        max_batch: the graph's `max_batch_size`.
    """

    def __init__(
        self, infer: Infer, *, score_threshold: float, max_batch: int = LANDMARKER_MAX_BATCH
    ) -> None:
        self._infer = infer
        self._score_threshold = score_threshold
        self._max_batch = max_batch

    def refine(
        self,
        images_rgb: Sequence[NDArray[np.uint8]],
        detections: Sequence[Sequence[Detection]],
    ) -> list[list[Detection]]:
        """The faces among the detections, with landmarks; all images share each call of the graph.

        Args:
            images_rgb: (H, W, 3) uint8 each, of any size.
            detections: of each image.

        Returns:
            Per image its faces, largest first: `landmarks`, `landmarks_68` and `face_score` are the
            graph's, and the box is the bounding box of the 68 landmarks.
        """
        owners = [index for index, faces in enumerate(detections) for _ in faces]
        faces = list(chain.from_iterable(detections))
        refined: list[list[Detection]] = [[] for _ in images_rgb]
        if not faces:
            return refined
        images = [images_rgb[owner] for owner in owners]
        squares = [loose_square(face.box_xyxy, _eyes(face)) for face in faces]
        first, _, _ = self._pass(images, squares)
        squares = [
            square_from_landmarks(points) if np.isfinite(points).all() else before
            for points, before in zip(first, squares, strict=True)
        ]
        for owner, face, points_68, points_5, score in zip(
            owners, faces, *self._pass(images, squares), strict=True
        ):
            if score >= self._score_threshold and np.isfinite(points_68).all():
                refined[owner].append(_refined(face, points_68, points_5, float(score)))
        return [_without_repeats(found) for found in refined]

    def _pass(
        self, images: Sequence[NDArray[np.uint8]], squares: Sequence[tuple[Array, Array]]
    ) -> tuple[list[Array], list[Array], list[float]]:
        """68 and 5 landmarks in pixels of each one's image, and the scores."""
        crops = np.stack(
            [
                warped(image, crop_from_image, SIZE_PX).transpose(2, 0, 1)
                for image, (crop_from_image, _) in zip(images, squares, strict=True)
            ]
        ).astype(np.float32)
        batches = [
            self._infer(crops[start : start + self._max_batch])
            for start in range(0, len(crops), self._max_batch)
        ]
        in_crops_68, in_crops_5, scores = map(np.concatenate, zip(*batches, strict=True))
        ways_back = [image_from_crop for _, image_from_crop in squares]
        return (
            [moved(back, points) for back, points in zip(ways_back, in_crops_68, strict=True)],
            [moved(back, points) for back, points in zip(ways_back, in_crops_5, strict=True)],
            scores.ravel().tolist(),
        )


def _direction(start: NDArray[Any], end: NDArray[Any]) -> float:
    x, y = np.asarray(end, np.float64) - np.asarray(start, np.float64)
    return math.atan2(y, x)


def _eyes(face: Detection) -> Array | None:
    return None if face.alignment == "box" else face.landmarks[:2]


def _refined(face: Detection, points_68: Array, points_5: Array, face_score: float) -> Detection:
    box_xyxy = np.concatenate([points_68.min(axis=0), points_68.max(axis=0)])
    return Detection(box_xyxy, points_5, face.score, "landmarks", points_68, face_score)


def _without_repeats(faces: Sequence[Detection]) -> list[Detection]:
    """One detection per face, largest first."""
    if not faces:
        return []
    boxes = np.array([face.box_xyxy for face in faces], np.float32)
    scores = np.array([face.face_score for face in faces], np.float32)
    kept = [faces[index] for index in suppress(boxes, scores, SAME_FACE_IOU)]
    return sorted(kept, key=lambda face: face.area, reverse=True)
