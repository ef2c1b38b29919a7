# SPDX-License-Identifier: Apache-2.0
"""Finds what covers the face in a photograph: hair, above all, and background that a fit took in.

A texel is suspicious if its colour is far from what the albedo model, matched to the person, has
there. Brows, shadows and freckles are that, too; but what covers a face comes in from outside it,
so only suspicious patches that reach the border of the photographed region are taken out. The
middle of the lower face is never taken out: a beard reaches the border as well.

Letters  S side of the texture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.atlas import FaceAtlas
from mien_server.avatar.texture.matching import opponent
from mien_server.avatar.texture.regions import ramp

__all__ = ["uncovered"]

Array = NDArray[Any]

# Opponent channels: deviations of skin from the model at least, whatever the photograph.
LEAST_DEVIATION = np.array([0.16, 0.05, 0.04], np.float32)
SUSPICIOUS = 2.6  # deviations, of the three channels together
# A patch reaches the border where less than this of the photograph may be shown.
BORDER = 0.9
# Lower face that is always shown: half width, and height above the nose's base, in thirds.
BEARD_HALF_WIDTH, BEARD_TOP = 0.55, 0.15
SMOOTHED = 1 / 170  # deviation of the blur that colours are compared after, in sides of the texture
GROWN = 1 / 64  # how far a patch is grown, likewise
# A patch beside one that reaches the border belongs to it if it is small: how near, how small.
TUFT_DISTANCE, TUFT_AREA = 1 / 16, 1 / 1500
MIDDLE = 0.55  # half width and height of the patch that tells how much skin varies, in thirds


def uncovered(seen: Array, weight: Array, model: Array, atlas: FaceAtlas) -> NDArray[np.float32]:
    """How far each texel is the face itself.

    Args:
        seen: (S, S, 3) RGB, albedo as the photograph shows it.
        weight: (S, S) 0..1, how far that can be relied on.
        model: (S, S, 3) RGB 0..1, in the colours of the person.
        atlas: of the head model.

    Returns:
        (S, S) 0..1, to be multiplied with the weight.
    """
    shown = weight > 0.05
    deviation = SMOOTHED * atlas.size
    share = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), deviation)[..., None] + 1e-4
    smooth = cv2.GaussianBlur(seen * shown[..., None], (0, 0), deviation) / share
    apart = opponent(smooth) - opponent(cv2.GaussianBlur(model, (0, 0), deviation))
    middle = shown & _middle(atlas)
    if np.count_nonzero(middle) < 16:
        return np.ones_like(weight)
    centre = np.median(apart[middle], axis=0)
    spread = 1.4826 * np.median(np.abs(apart[middle] - centre), axis=0)
    distance = np.sqrt(np.square((apart - centre) / np.maximum(spread, LEAST_DEVIATION)).sum(-1))
    suspicious = shown & (distance > SUSPICIOUS) & ~_beard(atlas)
    patch = _coming_in(suspicious, atlas.photograph < BORDER, atlas.size)
    if not patch.any():
        return np.ones_like(weight)
    grown = GROWN * atlas.size
    away = cv2.distanceTransform(1 - patch, cv2.DIST_L2, 3)
    return np.asarray(ramp(away, 0.4 * grown, 1.4 * grown), np.float32)


def _coming_in(
    suspicious: NDArray[np.bool_], border: NDArray[np.bool_], size: int
) -> NDArray[np.uint8]:
    """(S, S) 0 or 1: patches that reach the border, and tufts beside them."""
    _, label, about, _ = cv2.connectedComponentsWithStats(
        suspicious.astype(np.uint8), connectivity=4
    )
    reaching = np.unique(label[suspicious & border])
    patch = np.isin(label, reaching[reaching > 0])
    radius = max(1, round(TUFT_DISTANCE * size))
    near = cv2.dilate(patch.astype(np.uint8), np.ones((2 * radius + 1,) * 2, np.uint8))
    beside = np.unique(label[(near > 0) & suspicious])
    tufts = beside[about[beside, cv2.CC_STAT_AREA] < TUFT_AREA * size**2]
    return (patch | np.isin(label, tufts[tufts > 0])).astype(np.uint8)


def _middle(atlas: FaceAtlas) -> NDArray[np.bool_]:
    """Cheeks and nose, where hardly anything ever covers the skin."""
    measures, (x, y) = atlas.measures, np.moveaxis(atlas.position[..., :2], -1, 0)
    height = (y - measures.nose_base) / measures.third
    return np.asarray(
        (atlas.photograph > BORDER)
        & (np.abs(x) < MIDDLE * measures.third)
        & (height > -0.1)
        & (height < MIDDLE)
    )


def _beard(atlas: FaceAtlas) -> NDArray[np.bool_]:
    measures, (x, y) = atlas.measures, np.moveaxis(atlas.position[..., :2], -1, 0)
    return np.asarray(
        (np.abs(x) < BEARD_HALF_WIDTH * measures.third)
        & (y < measures.nose_base + BEARD_TOP * measures.third)
    )
