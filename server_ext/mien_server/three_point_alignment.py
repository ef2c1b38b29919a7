# SPDX-License-Identifier: Apache-2.0
"""Alignment of faces by both eyes and the centre of the mouth, for networks adapted from VGG-Face.

The domain adaptation paper (section IV-B) puts these three points of every face where a fixed
reference has them, in an image of 250 x 250 pixels, of which training takes random and testing, we
suppose, the middle 224 x 224. It does not give the reference: ours has the eyes of the ArcFace
template scaled to 250, and halfway between its mouth corners the mouth (``alignment.py``).

Points are (x, y) in pixels; their order is image-left eye, image-right eye, centre of the mouth.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.alignment import ARCFACE_112, similarity_from_points

__all__ = [
    "ALIGNED_PX",
    "CROP_PX",
    "THREE_POINTS_250",
    "crop_by_three_points",
    "crop_from_image_by_three_points",
    "three_points",
]

ALIGNED_PX = 250
CROP_PX = 224


def three_points(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 2) eyes and centre of the mouth of five landmarks.

    Args:
        landmarks: (5, 2) image-left eye, image-right eye, nose tip, image-left and image-right
            mouth corner.

    Raises:
        ValueError: the shape is another one.
    """
    if landmarks.shape != (5, 2):
        raise ValueError(f"landmarks are {landmarks.shape}; they must be (5, 2)")
    mouth: NDArray[np.float64] = landmarks[3:].mean(axis=0)
    return np.stack([landmarks[0], landmarks[1], mouth])


# (3, 2) in the aligned image of 250 x 250.
THREE_POINTS_250: NDArray[np.float64] = three_points(ARCFACE_112) * (ALIGNED_PX / 112)


def crop_from_image_by_three_points(
    points: NDArray[np.float64], size: int = CROP_PX
) -> NDArray[np.float64]:
    """(2, 3) similarity from pixels of an image to those of the middle of its aligned image.

    Args:
        points: (3, 2) eyes and centre of the mouth in the image.
        size: side of the crop; even, at most 250, which is the whole aligned image.

    Raises:
        ValueError: bad size or shape, points that are not finite, or that coincide.
    """
    if not 0 < size <= ALIGNED_PX or size % 2:
        raise ValueError(f"crop size is {size}; it must be even and at most {ALIGNED_PX}")
    if points.shape != (3, 2) or not np.isfinite(points).all():
        raise ValueError(
            f"points are {points.shape}; they must be (3, 2) and finite: eyes and centre of mouth"
        )
    corner = (ALIGNED_PX - size) / 2
    return similarity_from_points(points, THREE_POINTS_250 - corner)


def crop_by_three_points(
    image_rgb: NDArray[np.uint8], points: NDArray[np.float64], size: int = CROP_PX
) -> NDArray[np.float32]:
    """Warp a face onto the template, bilinearly, black outside the image.

    Args:
        image_rgb: (H, W, 3) uint8.
        points: (3, 2) eyes and centre of the mouth, in pixels of `image_rgb`.
        size: side of the crop; even, at most 250.

    Returns:
        (3, size, size) float32, 0..255.

    Raises:
        ValueError: bad size or shape, points that are not finite, or that coincide.
    """
    crop_from_image = crop_from_image_by_three_points(points, size)
    crop = cv2.warpAffine(image_rgb, crop_from_image, (size, size), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32)
