# SPDX-License-Identifier: Apache-2.0
"""How near a rendered avatar comes to its photograph: PSNR, SSIM and DIFD.

Equations (7) to (9) of the thesis behind avatars, its section 4.4.1. SSIM is that of Wang et al.
2004, *Image Quality Assessment: From Error Visibility to Structural Similarity*: on brightness,
under a round Gaussian window of 11 x 11 pixels with a deviation of 1.5, with K1 = 0.01 and
K2 = 0.03. DIFD is the distance of two embeddings of unit length, 0 to 2; the thesis takes those of
FaceNet.

Letters  H and W of an image, D length of an embedding. Masks say which pixels count.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SAME_PERSON_DIFD", "difd", "psnr", "ssim"]

Array = NDArray[Any]

MAX_VALUE = 255.0
# Below it, two pictures show one person, by the thesis (section 4.4.1.1).
SAME_PERSON_DIFD = 1.5

WINDOW, DEVIATION = 11, 1.5
C1, C2 = (0.01 * MAX_VALUE) ** 2, (0.03 * MAX_VALUE) ** 2
BRIGHTNESS = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def psnr(image_rgb: Array, reference_rgb: Array, mask: Array | None = None) -> float:
    """Peak signal-to-noise ratio, equations (7) and (8), over all channels that count.

    Args:
        image_rgb: (H, W, 3) 0..255.
        reference_rgb: (H, W, 3) 0..255.
        mask: (H, W), true where a pixel counts; None for all.

    Returns:
        Decibels; infinity for equal images.

    Raises:
        ValueError: shapes that differ, or no pixel that counts.
    """
    image, reference, counts = _checked(image_rgb, reference_rgb, mask)
    if not counts.any():
        raise ValueError("the mask has no pixel that counts; there is nothing to compare")
    error = float(np.square(image[counts] - reference[counts]).mean())
    return math.inf if error == 0 else 10 * math.log10(MAX_VALUE**2 / error)


def ssim(image_rgb: Array, reference_rgb: Array, mask: Array | None = None) -> float:
    """Structural similarity, equation (9), averaged over the windows that lie in the mask.

    Windows that reach over the mask or the border of the image do not count, so nothing outside the
    mask has an influence.

    Args:
        image_rgb: (H, W, 3) 0..255.
        reference_rgb: (H, W, 3) 0..255.
        mask: (H, W), true where a pixel counts; None for all.

    Returns:
        -1..1, and 1 for equal images.

    Raises:
        ValueError: shapes that differ, or a mask that has no room for a window.
    """
    image, reference, counts = _checked(image_rgb, reference_rgb, mask)
    whole = cv2.erode(
        counts.astype(np.uint8),
        np.ones((WINDOW, WINDOW), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    if not whole.any():
        raise ValueError(
            f"no window of {WINDOW} x {WINDOW} pixels lies in the mask; compare larger pictures"
        )
    x, y = image @ BRIGHTNESS, reference @ BRIGHTNESS
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = _window_mean(x * x) - mean_x**2
    variance_y = _window_mean(y * y) - mean_y**2
    covariance: Array = _window_mean(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    likeness /= (mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2)
    return float(likeness[whole > 0].mean())


def difd(embedding: ArrayLike, other: ArrayLike) -> float:
    """Distance of two faces' embeddings after both are brought to unit length.

    Args:
        embedding: (D,) of any length but zero.
        other: (D,) likewise, of the same recogniser.

    Returns:
        0 for the same direction to 2 for opposite ones; see `SAME_PERSON_DIFD`.

    Raises:
        ValueError: shapes that differ, a zero vector, or numbers that are not finite.
    """
    one, two = (np.asarray(vector, np.float64) for vector in (embedding, other))
    if one.ndim != 1 or one.shape != two.shape:
        raise ValueError(f"embeddings have shapes {one.shape} and {two.shape}; both must be (D,)")
    lengths = [float(np.linalg.norm(vector)) for vector in (one, two)]
    if not (np.isfinite(lengths).all() and min(lengths) > 0):
        raise ValueError(
            f"embeddings have lengths {lengths[0]:.3g} and {lengths[1]:.3g}; they must be finite "
            "and above 0"
        )
    return float(np.linalg.norm(one / lengths[0] - two / lengths[1]))


def _checked(image: Array, reference: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    shape = image.shape
    if len(shape) != 3 or shape[2] != 3 or reference.shape != shape:
        raise ValueError(
            f"images have shapes {shape} and {reference.shape}; both must be the same (H, W, 3)"
        )
    counts = np.ones(shape[:2], bool) if mask is None else np.asarray(mask).astype(bool)
    if counts.shape != shape[:2]:
        raise ValueError(f"the mask has shape {counts.shape}; it must be {shape[:2]}")
    return image.astype(np.float64), reference.astype(np.float64), counts


def _window_mean(values: Array) -> Array:
    mean: Array = cv2.GaussianBlur(values, (WINDOW, WINDOW), DEVIATION)
    return mean
