# SPDX-License-Identifier: Apache-2.0
"""Takes folds, gloss and blots out of the plain skin of a texture.

A smile that was photographed folds the cheeks; on a face that frowns the fold would be a scar. What
is of the size of folds is held back, pores and freckles, which are smaller, stay, and so do beards
and the tone of the skin, which are larger.

Letters  S side of the texture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.atlas import FaceAtlas

__all__ = ["evened"]

Array = NDArray[Any]

# Standard deviations of the blurs between which folds lie, in sides of the texture.
FINEST, COARSEST = 1.5 / 512, 26 / 512
# How much darker or brighter than around a place of their size may be: natural logarithms.
KEPT = np.float32(0.04)
DARKEST = np.float32(0.02)
COARSE = 64  # side at which the coarse blur is made
_NEXT_TO_NOTHING = np.float32(1e-4)


def evened(albedo: Array, atlas: FaceAtlas) -> NDArray[np.float32]:
    """The albedo with even skin.

    Args:
        albedo: (S, S, 3) RGB 0..1.
        atlas: of the head model.

    Returns:
        (S, S, 3) 0..1; outside of plain skin what came.
    """
    share = atlas.plain[..., None]
    tone = np.log(np.maximum(np.asarray(albedo, np.float32), DARKEST))
    weight = np.maximum(share, _NEXT_TO_NOTHING)
    fine = _mean(tone, weight, FINEST * atlas.size)
    step = max(1, atlas.size // COARSE)
    small = (atlas.size // step, atlas.size // step)
    sums = cv2.resize(tone * weight, small, interpolation=cv2.INTER_AREA)
    weights = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)[..., None]
    coarse = _mean(sums / weights, weights, COARSEST * small[0])
    coarse = cv2.resize(coarse, (atlas.size, atlas.size), interpolation=cv2.INTER_LINEAR)
    uneven = fine - coarse
    held_back = (uneven - KEPT * np.tanh(uneven / KEPT)) * share
    even = np.where(share > 0, np.exp(tone - held_back), albedo)
    return np.asarray(even.clip(0, 1), np.float32)


def _mean(values: Array, weight: Array, sigma_px: float) -> Array:
    """Values blurred, in which each counts with its weight (., ., 1)."""
    blurred = cv2.GaussianBlur(values * weight, (0, 0), sigma_px)
    mean: Array = blurred / cv2.GaussianBlur(weight, (0, 0), sigma_px)[..., None]
    return mean
