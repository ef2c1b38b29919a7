# SPDX-License-Identifier: Apache-2.0
"""The 256 crop that hair is read from: upright by the eyes, with room for hair about the face.

DECA's crop ends at the forehead and at the jaw. This one has a side of 3.4 face sizes, 0.48 m on
the mean head: 7 cm above the crown, and down to the collar-bones. The size of a face is measured as
there, on the box of 68 landmarks or, less well, on a detector's. Maps of synthetic strands are
framed by the same rule, from the landmarks of their head: so a network meets heads of one size.
Points are as in `mien_server.warping`; its `inverted` is the way back for them.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.warping import square

__all__ = [
    "CROWN_XY",
    "PORTRAIT_SIZE_PX",
    "in_photograph",
    "portrait_window_from_box",
    "portrait_window_from_landmarks",
    "twice_as_large",
]

Array = NDArray[np.float64]

PORTRAIT_SIZE_PX = 256
PORTRAIT_MARGIN = 3.4
# As DECA has it: a detector's box is 1.1 times as large as that of the landmarks and sits higher.
BOX_SIZE, BOX_SHIFT = 1.1, 0.12
# Where the window puts the highest point of the mean head, seen from the front.
CROWN_XY = (128.0, 38.0)

_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)  # of the person; image-left comes first


def portrait_window_from_landmarks(landmarks_68: NDArray[Any]) -> Array:
    """(2, 3) `crop_from_image` about (68, 2) landmarks, turned so that the eyes are level.

    Raises:
        ValueError: another shape, or all landmarks in one place.
    """
    points = np.asarray(landmarks_68, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"landmarks_68 are {points.shape}; they must be (68, 2) and finite")
    x, y = points[_LEFT_EYE].mean(axis=0) - points[_RIGHT_EYE].mean(axis=0)
    angle = math.atan2(y, x)
    upright = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = points @ upright.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    return _window(upright.T @ ((low + high) / 2), float((high - low).mean()), angle)


def portrait_window_from_box(box_xyxy: NDArray[Any]) -> Array:
    """(2, 3) `crop_from_image` about a (4,) detector's box, where there are no landmarks.

    Raises:
        ValueError: another shape, or a box without area.
    """
    box = np.asarray(box_xyxy, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise ValueError(f"a box is {box.shape}; it must be (4,) and finite")
    low, high = box.reshape(2, 2)
    size = float((high - low).mean())
    return _window((low + high) / 2 + (0.0, BOX_SHIFT * size), size / BOX_SIZE, 0.0)


def twice_as_large(crop_from_image: Array) -> Array:
    """(2, 3) the same window with 512 x 512 pixels, which directions of hair are read from."""
    return 2 * np.asarray(crop_from_image, np.float64)


def in_photograph(
    values: NDArray[np.float32], crop_from_image: Array, height: int, width: int
) -> NDArray[np.float32]:
    """What was found in a crop, where it belongs in the photograph.

    Args:
        values: (256, 256), such as the probability of hair.
        crop_from_image: (2, 3), from this module.
        height: of the photograph.
        width: of the photograph.

    Returns:
        (height, width), bilinear, 0 outside the crop.
    """
    # OpenCV counts pixels by their centres, and takes the way from result to source.
    by_centres = crop_from_image.copy()
    by_centres[:, 2] += crop_from_image[:, :2] @ (0.5, 0.5) - 0.5
    placed: NDArray[np.float32] = cv2.warpAffine(
        np.asarray(values, np.float32),
        by_centres,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return placed


def _window(centre: Array, size: float, angle_rad: float) -> Array:
    if size <= 0:
        raise ValueError("a face has no size: its landmarks or the corners of its box coincide")
    return square(centre, size * PORTRAIT_MARGIN, angle_rad, PORTRAIT_SIZE_PX)
