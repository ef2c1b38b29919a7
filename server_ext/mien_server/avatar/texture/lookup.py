# SPDX-License-Identifier: Apache-2.0
"""Values of an image at the points that texels show, neither aliased nor noisy.

Letters  S side of the texture, H and W of the image. The centre of pixel i lies at i + 0.5.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["looked_up", "noise_deviation"]

Array = NDArray[Any]

# Sees no planes and no straight ramps, only what changes from pixel to pixel.
_NOISE_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN = 6.0  # root of the sum of its squares
_MAD = 0.6745  # of a normal distribution with a deviation of 1
# Bytes: noise below this stays, it looks like skin.
LEAST_NOISE = 2.5
SMOOTHED_DEVIATIONS = 3.0  # steps up to this many deviations of the noise are smoothed away
SMOOTHING_PX = 2.0


def looked_up(
    image: Array, at: NDArray[np.float32], used: NDArray[np.bool_], *, denoised: bool = False
) -> NDArray[np.float32]:
    """Bilinear lookups; averaged first where the image has several pixels to a texel.

    Args:
        image: (H, W) or (H, W, 3), uint8 where it is to be denoised.
        at: (S, S, 2) x, y pixels.
        used: (S, S) texels that need be right; others get anything.
        denoised: smooth away noise, if there is enough of it to be seen, and leave edges.

    Returns:
        (S, S) or (S, S, 3) float32 in the units of the image.
    """
    rows, columns = (np.flatnonzero(used.any(axis=axis)) for axis in (1, 0))
    shown = np.zeros((*at.shape[:2], *image.shape[2:]), np.float32)
    if not len(rows):
        return shown
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    at, used = at[window], used[window]
    points = at[used]
    limit = np.array(image.shape[1::-1])
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int) - 2, 0, limit - 1)
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int) + 2, 1, limit)
    part = image[top:bottom, left:right]
    factor = max(1, min(int(_step_px(at, used)), *part.shape[:2]))
    if factor > 1:
        size = (part.shape[1] // factor, part.shape[0] // factor)
        part = part[: size[1] * factor, : size[0] * factor]
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    if denoised:
        part = _denoised(part)
    # OpenCV counts pixels by their centres.
    where = (at - np.array([left, top], np.float32)) / np.float32(factor) - np.float32(0.5)
    shown[window] = cv2.remap(
        part.astype(np.float32), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return shown


def noise_deviation(image_rgb: Array) -> float:
    """Standard deviation of the noise in a picture's brightness, in its own units.

    Immerkaer 1996, *Fast Noise Variance Estimation*, with the median of the absolute values in
    place of their mean, so that edges do not count.

    Args:
        image_rgb: (H, W, 3).
    """
    grey = image_rgb.astype(np.float32).mean(axis=-1)
    changes = cv2.filter2D(grey, -1, _NOISE_FILTER)[1:-1, 1:-1]
    if not changes.size:
        return 0.0
    return float(np.median(np.abs(changes))) / (_MAD * _NOISE_GAIN)


def _denoised(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = noise_deviation(image_rgb)
    if noise < LEAST_NOISE:
        return image_rgb
    # The filter compares sums over the channels, whose noise is that of three.
    smooth: NDArray[np.uint8] = cv2.bilateralFilter(
        np.ascontiguousarray(image_rgb), -1, 3 * SMOOTHED_DEVIATIONS * noise, SMOOTHING_PX
    )
    return smooth


def _step_px(at: Array, used: NDArray[np.bool_]) -> float:
    """Pixels of the image from one texel to the next, where most of them are."""
    both = used[:, 1:] & used[:, :-1]
    if not both.any():
        return 1.0
    steps = np.linalg.norm(at[:, 1:] - at[:, :-1], axis=-1)[both]
    return float(np.median(steps))
