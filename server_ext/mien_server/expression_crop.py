# SPDX-License-Identifier: Apache-2.0
"""The grey 44 x 44 crop in which CompCNN sees an expression.

The paper's crops have mouth and eyes at fixed places; which ones, it does not say: these are ours.
A similarity fits the two eyes and the middle between the corners of the mouth to them, by least
squares. Points are as in `mien_server.warping`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.alignment import similarity_from_points
from mien_server.warping import warped

__all__ = [
    "EXPRESSION_SIZE_PX",
    "PLACES_44",
    "expression_anchors",
    "expression_crop",
    "expression_window",
]

EXPRESSION_SIZE_PX = 44

# Image-left eye, image-right eye, middle of the mouth. Brows lie at 7, the chin at the lower edge.
PLACES_44: NDArray[np.float64] = np.array([(13.0, 14.0), (31.0, 14.0), (22.0, 34.0)])


def expression_anchors(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """(3, 2) eyes and middle of the mouth out of (5, 2) landmarks.

    Raises:
        ValueError: there are not five points.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"landmarks are {points.shape}; expected (5, 2)")
    return np.stack([points[0], points[1], (points[3] + points[4]) / 2])


def expression_window(
    landmarks: NDArray[Any], size: int = EXPRESSION_SIZE_PX
) -> NDArray[np.float64]:
    """Where the crop lies in an image.

    Args:
        landmarks: (5, 2) in the image.
        size: side of the crop, pixels; the places grow with it.

    Returns:
        (2, 3) similarity `crop_from_image`.

    Raises:
        ValueError: there are not five points, or they coincide.
    """
    places = PLACES_44 * (size / EXPRESSION_SIZE_PX)
    return similarity_from_points(expression_anchors(landmarks), places)


def expression_crop(image_rgb: NDArray[np.uint8], landmarks: NDArray[Any]) -> NDArray[np.uint8]:
    """Cut the crop out of an image.

    Args:
        image_rgb: (H, W, 3) uint8.
        landmarks: (5, 2) in it.

    Returns:
        (44, 44) uint8, Rec. 601 luma; black outside the image.

    Raises:
        ValueError: there are not five points, or they coincide.
    """
    crop = warped(image_rgb, expression_window(landmarks), EXPRESSION_SIZE_PX)
    grey: NDArray[np.uint8] = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return grey
