# SPDX-License-Identifier: Apache-2.0
"""Five-point alignment of faces by the ArcFace template.

The template and its rule for other sizes are those of insightface's `face_align`: sizes that are
multiples of 112 scale the template; multiples of 128 scale it too, but move it 8 px (at 128) to the
right, so that a 128 crop sees more on every side and is no resize of the 112 crop.

Points are (x, y) in pixels; landmark order is image-left eye, image-right eye, nose tip, image-left
mouth corner, image-right mouth corner.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["crop_face", "landmarks_from_eyes", "similarity_from_points", "template"]

ARCFACE_112: NDArray[np.float64] = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)


def template(size: int) -> NDArray[np.float64]:
    """(5, 2) positions of the landmarks in an aligned crop of `size` x `size` pixels.

    Raises:
        ValueError: size is a multiple of neither 112 nor 128.
    """
    if size > 0 and size % 112 == 0:
        points = ARCFACE_112 * (size / 112)
    elif size > 0 and size % 128 == 0:
        points = (ARCFACE_112 + np.array([8.0, 0.0])) * (size / 128)
    else:
        raise ValueError(f"crop size is {size}; it must be a multiple of 112 or of 128")
    return points


def similarity_from_points(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and translation (Umeyama 1991), never a reflection.

    Args:
        source: (N, 2) points, N >= 2, not all equal.
        target: (N, 2) where they should land.

    Returns:
        (2, 3) `target_from_source`, for column vectors (x, y, 1).

    Raises:
        ValueError: the shapes differ, or all source points coincide.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[0] < 2:
        raise ValueError(
            f"source is {source.shape} and target {target.shape}; both must be (N, 2), N >= 2"
        )
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    variance = float((source_centred**2).sum())
    if variance == 0:
        raise ValueError("all source points coincide; no similarity maps them")
    u, singular, vt = np.linalg.svd(target_centred.T @ source_centred)
    sign = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((singular * sign).sum()) / variance
    linear = scale * rotation
    return np.column_stack([linear, target_mean - linear @ source_mean])


def landmarks_from_eyes(
    left_eye: tuple[float, float], right_eye: tuple[float, float]
) -> NDArray[np.float64]:
    """(5, 2) landmarks when only the eyes are known: the rest is where the template has it."""
    eyes = np.array([left_eye, right_eye], dtype=np.float64)
    image_from_template = similarity_from_points(ARCFACE_112[:2], eyes)
    landmarks: NDArray[np.float64] = (
        ARCFACE_112 @ image_from_template[:, :2].T + image_from_template[:, 2]
    )
    return landmarks


def crop_face(
    image_rgb: NDArray[np.uint8], landmarks: NDArray[np.float64], size: int
) -> NDArray[np.float32]:
    """Warp a face onto the template, bilinearly, black outside the image.

    Args:
        image_rgb: (H, W, 3) uint8.
        landmarks: (5, 2) in pixels of `image_rgb`.
        size: side of the crop, a multiple of 112 or 128.

    Returns:
        (3, size, size) float32, 0..255.

    Raises:
        ValueError: bad size, or landmarks that coincide.
    """
    crop_from_image = similarity_from_points(landmarks, template(size))
    crop = cv2.warpAffine(image_rgb, crop_from_image, (size, size), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32)
