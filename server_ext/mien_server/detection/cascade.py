# SPDX-License-Identifier: Apache-2.0
"""Viola-Jones faces and eyes, from the cascades inside the OpenCV wheel.

The detector that works with nothing downloaded. It sees upright, near-frontal faces, and two of the
five landmarks at best. `frontalface_alt2` was chosen on scikit-image's own pictures: it finds 98 of
the 100 LFW faces in there, and nothing in its 100 non-faces and 27 faceless photographs, where
`frontalface_default` sees faces among coins.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.alignment import landmarks_from_eyes
from mien_server.detection.detection import Alignment, Detection

__all__ = ["CascadeDetector"]

# Coarse first: a quarter of the pixels, a quarter of the time, and a portrait needs no more.
COARSE_SIDE_PX = 320
FINE_SIDE_PX = 640
MIN_FACE_PX = 30  # at the side above
# Thumbnails are enlarged, so that a face too small to use is refused as such, not overlooked.
MAX_ENLARGEMENT = 2.0
# alt2 stands 15 to 20 degrees of tilt by itself.
TILTS_DEG = (30.0, -30.0)
SCALE_FACTOR = 1.1
MIN_NEIGHBORS = 4
# OpenCV's weight of the last stage. The weakest true face of the pictures above has 55.5, the
# strongest false one (part of a tilted face; a head on a coin) 55.0.
MIN_SCORE = 55.2

# Eyes are looked for at one size of the face, so that their cost does not grow with the photograph.
EYE_FACE_PX = 160
EYE_BAND = (24, 100)  # rows of that face
EYE_HALVES = ((0, 88), (72, 160))  # columns, overlapping at the nose
# Mean eye centres relative to the box, over scikit-image's LFW subset (standard deviation 0.03).
LEFT_EYE_IN_BOX = (0.307, 0.387)
RIGHT_EYE_IN_BOX = (0.693, 0.387)
MAX_EYE_OFFSET = 0.12  # of the box: farther from the mean, it is an eyebrow or a nostril
MAX_EYE_TILT_DEG = 25.0


class _Cascades(threading.local):
    """One pair per thread: a classifier keeps its scratch buffers inside."""

    def __init__(self) -> None:
        self.face = _load("haarcascade_frontalface_alt2.xml")
        self.eye = _load("haarcascade_eye.xml")


def _load(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / name
    classifier = cv2.CascadeClassifier(str(path))
    if classifier.empty():
        raise RuntimeError(f"{path} cannot be loaded; reinstall opencv-python-headless")
    return classifier


class CascadeDetector:
    """`FaceDetector` on OpenCV's cascades.

    Args:
        threads: images worked on at once.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._cascades = _Cascades()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="cascade")

    def detect(
        self, images_rgb: Sequence[NDArray[np.uint8]], *, thorough: Sequence[bool]
    ) -> list[list[Detection]]:
        """See `FaceDetector.detect`."""
        if len(images_rgb) == 1:  # leaves OpenCV's own threads to the one image
            return [self._detect_one(images_rgb[0], thorough[0])]
        return list(self._pool.map(self._detect_one, images_rgb, thorough))

    def _detect_one(self, image_rgb: NDArray[np.uint8], thorough: bool) -> list[Detection]:
        grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        faces = [] if thorough else self._faces(grey, COARSE_SIDE_PX)
        faces = faces or self._faces(grey, FINE_SIDE_PX)
        if not any(face.alignment == "eyes" for face in faces):  # none, or part of a tilted one
            tilted = (self._tilted_faces(grey, tilt_deg) for tilt_deg in TILTS_DEG)
            faces = next(filter(None, tilted), faces)
        return sorted(faces, key=lambda face: face.area, reverse=True)

    def _tilted_faces(self, grey: NDArray[np.uint8], tilt_deg: float) -> list[Detection]:
        factor = min(1.0, FINE_SIDE_PX / max(grey.shape))
        tilted, tilted_from_image = _rotate(_resize(grey, factor), tilt_deg)
        image_from_tilted = cv2.invertAffineTransform(tilted_from_image)
        # Looking again and again invites false alarms, so here both eyes must confirm the face.
        return [
            _mapped(face, image_from_tilted, factor)
            for face in self._faces(tilted, COARSE_SIDE_PX)
            if face.alignment == "eyes"
        ]

    def _faces(self, grey: NDArray[np.uint8], side_px: int) -> list[Detection]:
        factor = min(MAX_ENLARGEMENT, side_px / max(grey.shape))
        boxes_xywh, _, weights = self._cascades.face.detectMultiScale3(
            _resize(grey, factor),
            scaleFactor=SCALE_FACTOR,
            minNeighbors=MIN_NEIGHBORS,
            minSize=(MIN_FACE_PX, MIN_FACE_PX),
            outputRejectLevels=True,
        )
        return [
            self._detection(grey, np.asarray(box, np.float64) / factor, float(weight))
            for box, weight in zip(boxes_xywh, weights, strict=True)
            if weight >= MIN_SCORE
        ]

    def _detection(
        self, grey: NDArray[np.uint8], box_xywh: NDArray[np.float64], score: float
    ) -> Detection:
        left, top, width, height = box_xywh
        eyes = self._eyes(grey, box_xywh)
        alignment: Alignment = "box" if eyes is None else "eyes"
        left_eye, right_eye = eyes or (LEFT_EYE_IN_BOX, RIGHT_EYE_IN_BOX)
        landmarks = landmarks_from_eyes(
            (left + left_eye[0] * width, top + left_eye[1] * height),
            (left + right_eye[0] * width, top + right_eye[1] * height),
        )
        box_xyxy = np.array([left, top, left + width, top + height])
        return Detection(box_xyxy, landmarks, score, alignment)

    def _eyes(
        self, grey: NDArray[np.uint8], box_xywh: NDArray[np.float64]
    ) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Both eye centres in units of the box, or None where they are not found believably."""
        left, top, width, height = (round(value) for value in box_xywh)
        face = grey[max(top, 0) : top + height, max(left, 0) : left + width]
        face = cv2.resize(face, (EYE_FACE_PX, EYE_FACE_PX), interpolation=cv2.INTER_AREA)
        found = [
            self._eye(face, columns, expected)
            for columns, expected in zip(
                EYE_HALVES, (LEFT_EYE_IN_BOX, RIGHT_EYE_IN_BOX), strict=True
            )
        ]
        left_eye, right_eye = found
        if left_eye is None or right_eye is None:
            return None
        tilt = math.atan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0])
        return (left_eye, right_eye) if abs(math.degrees(tilt)) <= MAX_EYE_TILT_DEG else None

    def _eye(
        self, face: NDArray[np.uint8], columns: tuple[int, int], expected: tuple[float, float]
    ) -> tuple[float, float] | None:
        """Centre nearest to the expected one, in units of the box."""
        rows = slice(*EYE_BAND)
        boxes = self._cascades.eye.detectMultiScale(
            face[rows, slice(*columns)],
            scaleFactor=1.1,
            minNeighbors=3,
            minSize=(20, 20),
            maxSize=(64, 64),
        )
        centres = [
            ((x + w / 2 + columns[0]) / EYE_FACE_PX, (y + h / 2 + EYE_BAND[0]) / EYE_FACE_PX)
            for x, y, w, h in boxes
        ]
        centres = [c for c in centres if math.dist(c, expected) <= MAX_EYE_OFFSET]
        return min(centres, key=lambda c: math.dist(c, expected), default=None)


def _resize(grey: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    if factor == 1:
        return grey
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(
        grey, None, fx=factor, fy=factor, interpolation=interpolation
    )
    return resized


def _rotate(
    grey: NDArray[np.uint8], angle_deg: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The whole image turned about its centre on a larger canvas, and (2, 3) turned_from_image."""
    height, width = grey.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1.0)
    new_width, new_height = np.ceil(np.abs(turn[:, :2]) @ (width, height)).astype(int)
    turn[:, 2] += ((new_width - width) / 2, (new_height - height) / 2)
    turned: NDArray[np.uint8] = cv2.warpAffine(
        grey, turn, (int(new_width), int(new_height)), borderMode=cv2.BORDER_REPLICATE
    )
    return turned, turn


def _mapped(face: Detection, to: NDArray[np.float64], factor: float) -> Detection:
    """The face in the frame `to` leads to, then divided by `factor`; its box stays upright."""
    left, top, right, bottom = face.box_xyxy
    centre = to[:, :2] @ ((left + right) / 2, (top + bottom) / 2) + to[:, 2]
    half = np.array([right - left, bottom - top]) / 2
    return Detection(
        np.concatenate([centre - half, centre + half]) / factor,
        (face.landmarks @ to[:, :2].T + to[:, 2]) / factor,
        face.score,
        face.alignment,
    )
