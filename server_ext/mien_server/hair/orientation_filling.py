# SPDX-License-Identifier: Apache-2.0
"""Directions of hair where the photograph shows none: from those that are trusted, and a prior.

HairNet's tools keep directions of confidence 0.8 and diffuse them in 40 steps into the rest. A step
carries them one pixel, and their confidence is counted in other units; here the rest is first
filled from afar, with means over squares of growing size, and then diffused by as many steps.

Letters  H and W of an image. Directions are (H, W, 2) unit vectors of doubled angles.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["DIFFUSION_STEPS", "TRUSTED", "filled", "pointed"]

Array = NDArray[np.float32]

TRUSTED = 0.35  # of a confidence in 0..1
DIFFUSION_STEPS = 40
# Hair that nothing is known of hangs: a doubled angle of 180 degrees.
HANGING = np.array([-1.0, 0.0], np.float32)

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)
_REACHES_PX = (2, 4, 8, 16, 32, 64, 128)
# How much hair is pulled down where it leaves the crown sideways, in steps away from it.
_DOWN = 0.6
_ALIGNING_STEPS = 12


def filled(
    double: Array,
    confidence: Array,
    hair: NDArray[np.bool_],
    *,
    trusted: float = TRUSTED,
    steps: int = DIFFUSION_STEPS,
) -> Array:
    """Keep what is trusted, and give the rest of the hair the direction of what surrounds it.

    Args:
        double: (H, W, 2) directions.
        confidence: (H, W), 0 to 1.
        hair: (H, W); the diffusion does not leave it.
        trusted: directions of at least this confidence stay as they are.
        steps: of diffusion.

    Returns:
        (H, W, 2) directions, 0 outside the hair. Where nothing is trusted anywhere, it hangs.
    """
    known = hair & (confidence >= trusted)
    result = np.where(hair[..., None], HANGING, np.float32(0))
    if not known.any():
        return result
    inside, fixed = hair.astype(np.float32), known.astype(np.float32)
    result = double * fixed[..., None]
    missing = hair & ~known
    for reach in _REACHES_PX:
        if not missing.any():
            break
        window = (2 * reach + 1, 2 * reach + 1)
        mean, weight = cv2.blur(double * fixed[..., None], window), cv2.blur(fixed, window)
        reached = missing & (weight > 0.02)
        result[reached] = mean[reached] / weight[reached, None]
        missing &= ~reached
    result[missing] = HANGING
    share = 1 / np.maximum(cv2.filter2D(inside, -1, _CROSS, borderType=cv2.BORDER_CONSTANT), 1)
    share = np.repeat(share[..., None], 2, axis=-1)
    open_places = (hair & ~known).astype(np.uint8)
    for _ in range(steps):
        total = cv2.filter2D(result, -1, _CROSS, borderType=cv2.BORDER_CONSTANT)
        cv2.copyTo(cv2.multiply(total, share), open_places, result)
    return _unit(result, hair)


def pointed(double: Array, hair: NDArray[np.bool_], crown_xy: tuple[float, float]) -> Array:
    """Directions from root to tip, which a photograph does not show and a rule must say.

    Strands run away from the crown, and down rather than up. Where a line lies across both, its
    neighbours decide: the sense that most of them have, those counting more that are sure.

    Args:
        double: (H, W, 2) directions of lines.
        hair: (H, W).
        crown_xy: pixels of the image, x to the right, y down.

    Returns:
        (H, W, 2) unit vectors, x to the right and y up; 0 outside the hair.
    """
    angle = np.arctan2(double[..., 1], double[..., 0]) / 2
    line = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    rows, columns = np.mgrid[: hair.shape[0], : hair.shape[1]] + 0.5
    away = np.stack([columns - crown_xy[0], crown_xy[1] - rows], axis=-1)
    away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
    leaning = (line * (away - np.array([0.0, _DOWN]))).sum(axis=-1)
    inside = hair.astype(np.float32)
    sure = (np.abs(leaning) * inside)[..., None].astype(np.float32)
    result = (line * np.where(leaning < 0, -1.0, 1.0)[..., None]).astype(np.float32)
    for _ in range(_ALIGNING_STEPS):
        around = cv2.blur(result * sure, (9, 9))
        result = np.where((result * around).sum(axis=-1, keepdims=True) < 0, -result, result)
    aligned: NDArray[np.float32] = result * inside[..., None]
    return aligned


def _unit(vectors: Array, where: NDArray[np.bool_]) -> Array:
    length = np.linalg.norm(vectors, axis=-1)
    lost = where & (length < 1e-6)  # two opposite directions, evenly mixed
    safe: Array = vectors / np.where(length < 1e-6, np.float32(1), length)[..., None]
    safe[lost] = HANGING
    return np.where(where[..., None], safe, np.float32(0))
