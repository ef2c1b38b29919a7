# SPDX-License-Identifier: Apache-2.0
"""Colours of skin and brows in a photograph: what hair would look like where none is seen.

Letters  H and W of a photograph, N pixels. Colours are sRGB, 0..255, distances those of CIELAB.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["brow_colour", "lab", "skin_colour"]

Array = NDArray[Any]

_BROWS = (slice(17, 22), slice(22, 27))  # iBUG 300-W
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)
_BELOW_EYES, _MOUTH_CORNERS = ([40, 41], [46, 47]), (48, 54)
_NOSE_BRIDGE = slice(27, 30)
# In distances between the eyes: how wide brows are drawn, and how large a patch of skin is.
_BROW_WIDTH, _PATCH = 0.16, 0.10
# Of the pixels about a brow, as many are hair; the rest is the skin between and about it.
_DARKEST = 0.3
# Brows that are hardly darker than skin are plucked, or white.
_DARKER = 8.0


def skin_colour(image_rgb: NDArray[np.uint8], landmarks_68: Array) -> Array | None:
    """(3,) the median of cheeks and nose; None where the face is not in the picture.

    Args:
        image_rgb: (H, W, 3).
        landmarks_68: (68, 2) pixels.
    """
    points = np.asarray(landmarks_68, np.float64)
    cheeks = [
        (points[below].mean(axis=0) + points[corner]) / 2
        for below, corner in zip(_BELOW_EYES, _MOUTH_CORNERS, strict=True)
    ]
    radius = max(round(_PATCH * _between_eyes(points)), 1)
    drawn = np.zeros(image_rgb.shape[:2], np.uint8)
    for middle in (*cheeks, *points[_NOSE_BRIDGE]):
        cv2.circle(drawn, _pixel(middle), radius, 1, cv2.FILLED)
    return _median(image_rgb[drawn > 0])


def brow_colour(image_rgb: NDArray[np.uint8], landmarks_68: Array) -> Array | None:
    """(3,) of the hair in a person's brows; None where none is seen.

    Args:
        image_rgb: (H, W, 3).
        landmarks_68: (68, 2) pixels.
    """
    points = np.asarray(landmarks_68, np.float64)
    drawn = np.zeros(image_rgb.shape[:2], np.uint8)
    width = max(round(_BROW_WIDTH * _between_eyes(points)), 1)
    for brow in _BROWS:
        corners = np.array([_pixel(point) for point in points[brow]], np.int32)
        cv2.polylines(drawn, [corners], isClosed=False, color=1, thickness=width)
    pixels, skin = image_rgb[drawn > 0], skin_colour(image_rgb, landmarks_68)
    if skin is None or not len(pixels):
        return None
    lightness = lab(pixels)[:, 0]
    found = _median(pixels[lightness <= np.quantile(lightness, _DARKEST)])
    if found is None or lab(skin[None])[0, 0] - lab(found[None])[0, 0] < _DARKER:
        return None
    return found


def lab(colours: Array) -> NDArray[np.float32]:
    """(N, 3) sRGB 0..255 to CIELAB."""
    values = np.asarray(colours, np.float32).reshape(1, -1, 3) / 255
    converted: NDArray[np.float32] = cv2.cvtColor(values, cv2.COLOR_RGB2Lab)[0]
    return converted


def _between_eyes(points: Array) -> float:
    return float(np.linalg.norm(points[_LEFT_EYE].mean(axis=0) - points[_RIGHT_EYE].mean(axis=0)))


def _pixel(point: Array) -> tuple[int, int]:
    x, y = np.floor(point).astype(int).tolist()
    return x, y


def _median(pixels: NDArray[np.uint8]) -> Array | None:
    return np.asarray(np.median(pixels, axis=0)) if len(pixels) else None
