# SPDX-License-Identifier: Apache-2.0
"""Square windows onto a photograph: the transform there, the way back, and the pixels.

Points are (x, y) with the origin at the outer corner of the top-left pixel, so that the centre of
pixel i lies at i + 0.5, a box is the area it covers, and scaling an image scales its points by the
same factor. Transforms are (2, 3), for column vectors (x, y, 1).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["inverted", "moved", "square", "warped"]

Array = NDArray[np.float64]

# Windows that shrink by less are sampled bilinearly; beyond it, samples would skip whole pixels.
SHARPEST_REDUCTION = 2.0


def square(centre: Array, side_px: float, angle_rad: float, size: int) -> Array:
    """The window of `size` x `size` pixels that shows a turned square of the image upright.

    Args:
        centre: (2,) of the square, in pixels of the image.
        side_px: of the square, in pixels of the image, > 0.
        angle_rad: direction of the square's upper edge in the image, x towards y (clockwise on
            screen); it becomes horizontal.
        size: pixels of the window along either side.

    Returns:
        (2, 3) `window_from_image`.
    """
    scale = size / side_px
    cosine, sine = scale * math.cos(angle_rad), scale * math.sin(angle_rad)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([linear, size / 2 - linear @ np.asarray(centre, np.float64)])


def inverted(transform: Array) -> Array:
    """(2, 3) the way back.

    Raises:
        numpy.linalg.LinAlgError: there is none.
    """
    linear = np.linalg.inv(transform[:, :2])
    return np.column_stack([linear, -linear @ transform[:, 2]])


def moved(transform: Array, points: NDArray[Any]) -> Array:
    """(..., 2) points where the transform puts them, in float64."""
    result: Array = np.asarray(points, np.float64) @ transform[:, :2].T + transform[:, 2]
    return result


def warped(image_rgb: NDArray[np.uint8], window_from_image: Array, size: int) -> NDArray[np.uint8]:
    """What a window shows: bilinear, black outside the image, averaged first where it shrinks.

    Args:
        image_rgb: (H, W, 3) uint8.
        window_from_image: (2, 3) similarity.
        size: pixels of the window along either side.

    Returns:
        (size, size, 3) uint8.
    """
    image, window_from_image = _reduced(image_rgb, window_from_image, size)
    # OpenCV counts pixels by their centres.
    by_centres = window_from_image.copy()
    by_centres[:, 2] += window_from_image[:, :2] @ (0.5, 0.5) - 0.5
    shown: NDArray[np.uint8] = cv2.warpAffine(
        image, by_centres, (size, size), flags=cv2.INTER_LINEAR
    )
    return shown


def _reduced(
    image: NDArray[np.uint8], window_from_image: Array, size: int
) -> tuple[NDArray[np.uint8], Array]:
    """The part of the image that the window shows, in blocks of pixels averaged to one."""
    factor = int(1 / math.hypot(*window_from_image[:, 0]))
    if factor < SHARPEST_REDUCTION:
        return image, window_from_image
    window = np.array([(0, 0), (0, size), (size, 0), (size, size)])
    corners = moved(inverted(window_from_image), window)
    limit = np.array(image.shape[1::-1])
    first = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int) // factor * factor
    last = np.clip(np.ceil(corners.max(axis=0)) + factor, 0, limit).astype(int)
    blocks = (last - first) // factor  # an incomplete block at the far edge is left out
    if blocks.min() < 1:
        return image, window_from_image
    (left, top), (width, height) = first, blocks * factor
    part = image[top : top + height, left : left + width]
    reduced = cv2.resize(part, (int(blocks[0]), int(blocks[1])), interpolation=cv2.INTER_AREA)
    linear = window_from_image[:, :2]
    offset = linear @ first + window_from_image[:, 2]
    return reduced, np.column_stack([linear * factor, offset])
