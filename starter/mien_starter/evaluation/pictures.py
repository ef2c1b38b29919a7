# SPDX-License-Identifier: Apache-2.0
"""How near a picture is to another one, pixel by pixel.

Letters  N pictures, H and W height and width.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["peak_signal_to_noise_db", "structural_similarity"]

Array = NDArray[Any]

_WHITE = 255.0
_SMALLEST_ERROR = 1e-4  # of equal pictures, which would be infinitely near: 88 dB
# Wang et al. 2004, section III-C: a Gaussian of 1.5 pixels, and K1, K2.
_SIGMA_PX, _WINDOW_PX, _K1, _K2 = 1.5, 11, 0.01, 0.03


def peak_signal_to_noise_db(found: Array, truth: Array) -> NDArray[np.float64]:
    """(N,) PSNR of (N, H, W, 3) pictures in 0..255, decibels."""
    errors = np.square(found.astype(np.float64) - truth).mean(axis=(1, 2, 3))
    levels: NDArray[np.float64] = 10 * np.log10(_WHITE**2 / np.maximum(errors, _SMALLEST_ERROR))
    return levels


def structural_similarity(found: Array, truth: Array) -> NDArray[np.float64]:
    """(N,) SSIM of the brightness of (N, H, W, 3) RGB pictures in 0..255; 1 where they are equal.

    Wang et al. 2004, *Image Quality Assessment: From Error Visibility to Structural Similarity*,
    equation 13.
    """
    return np.array(
        [_similarity(*map(_brightness, pair)) for pair in zip(found, truth, strict=True)]
    )


def _brightness(picture: Array) -> NDArray[np.float64]:
    grey = cv2.cvtColor(np.asarray(picture, np.float32), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.float64)


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance = _smooth(x * x) - mean_x**2 + _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * _WHITE) ** 2, (_K2 * _WHITE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variance + c2)).mean())


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(x, (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX), np.float64)
