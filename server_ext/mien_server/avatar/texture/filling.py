# SPDX-License-Identifier: Apache-2.0
"""Completes the albedo of a head from what photographs show of it.

Where nothing was seen, the model's albedo stands, corrected by what the seen parts beside it are
off by: the difference is smoothed over the seen part and carried on beyond it by a pull-push
pyramid (Gortler et al. 1996, *The Lumigraph*, section 3.4), and dies away towards the back of the
head. So both sides of a seam have one tone, as after Poisson blending (Perez et al. 2003), at a
fraction of the cost. Finer differences, brows and moles, come from the mirrored other half where
that was seen.

Letters  S side of the texture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.atlas import FaceAtlas
from mien_server.avatar.texture.regions import ramp

__all__ = ["completed", "spread_out"]

Array = NDArray[Any]

# Weights between which a texel goes over from filled to photographed: narrow, or features would be
# there twice where model and photograph have them side by side.
PHOTOGRAPHED = (0.08, 0.55)
FEATHER = 1 / 170  # width of the seam on top of that, in sides of the texture
TONE_SIZE = 1 / 32  # of the texture's side: size of what counts as tone rather than detail
# Metres behind the ends of the jaw over which the tone of the face dies away.
DYING_AWAY = (-0.10, -0.01)
# Of the tone that sets the photograph off from the model, most is light that was not taken out.
TONE_KEPT = 0.25
# Details of skin are darker than it. What is brighter by more than this is gloss, and that is held
# back, and never mirrored.
BRIGHTEST = np.float32(0.03)
GLOSS_KEPT = 0.25
_MEAN = np.full(3, 1 / 3, np.float32)  # of the channels; faster than numpy's
_NEXT_TO_NOTHING = np.float32(1e-4)


def completed(seen: Array, weight: Array, model: Array, atlas: FaceAtlas) -> NDArray[np.float32]:
    """The whole albedo.

    Args:
        seen: (S, S, 3) RGB, albedo as the photographs show it.
        weight: (S, S) 0..1, how far that can be relied on.
        model: (S, S, 3) RGB 0..1, in the colours of the person.
        atlas: of the head model.

    Returns:
        (S, S, 3) 0..1.
    """
    if not weight.any():
        return model.clip(0, 1)
    share = _feathered(ramp(weight, *PHOTOGRAPHED), atlas.size)[..., None]
    shown = np.where(weight[..., None] > 0, seen, model).astype(np.float32)
    base, model_base = _bases(shown, model, weight, atlas.size)
    reach = ramp(atlas.position[..., 2] - atlas.measures.jaw_ends, *DYING_AWAY) * atlas.skin
    tone = (base - model_base) * reach[..., None].astype(np.float32)
    filled = model + tone * np.float32(TONE_KEPT)
    gloss = _gloss(shown, base)
    if atlas.is_symmetric:
        mirrored = (model_base + shown - base - gloss)[:, ::-1]
        filled += (mirrored - model) * share[:, ::-1]
    photographed = shown - tone * np.float32(1 - TONE_KEPT) - gloss * np.float32(1 - GLOSS_KEPT)
    done: Array = filled + (photographed - filled) * share
    return np.asarray(done.clip(0, 1), np.float32)


def _bases(shown: Array, model: Array, weight: Array, size: int) -> tuple[Array, Array]:
    """(S, S, 3) the skin of the photographs and of the model, without features, and carried on.

    What only one of them has, such as brows, is none of their difference; so both are averaged over
    the texels where they differ as they usually do.
    """
    brightness = (shown - model) @ _MEAN
    known = brightness[weight > min(0.5, float(weight.max()) / 2)]
    middle = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - middle)) + 0.01
    common = weight / (1 + np.square(np.square((brightness - middle) / (2 * spread))))
    coarsest = max(1, round(TONE_SIZE * size))
    return spread_out(shown, common, coarsest=coarsest), spread_out(
        model, common, coarsest=coarsest
    )


def _feathered(share: Array, size: int) -> Array:
    """(S, S) shares that go over smoothly, and nowhere beyond what they were."""
    radius = round(FEATHER * size)
    shrunk = cv2.erode(share.astype(np.float32), np.ones((2 * radius + 1,) * 2, np.uint8))
    feathered: Array = cv2.blur(shrunk, (2 * radius + 1,) * 2)
    return feathered


def _gloss(shown: Array, base: Array) -> Array:
    """(S, S, 3) what is brighter than the skin about it, in a colour between white and skin."""
    excess = np.maximum((shown - base) @ _MEAN - BRIGHTEST, 0)
    share = 0.5 * excess / np.maximum(base @ _MEAN, 0.05)
    gloss: Array = base * share[..., None] + 0.5 * excess[..., None]
    return gloss


def spread_out(values: Array, weight: Array, *, coarsest: int) -> NDArray[np.float32]:
    """Smooth weighted means near the weights, and beyond them what lies nearest.

    Args:
        values: (S, S, C).
        weight: (S, S) 0 and up.
        coarsest: texels over which is averaged even where every texel has a weight.

    Returns:
        (S, S, C) float32.
    """
    height, width = weight.shape
    share = np.asarray(weight, np.float32)[..., None]
    # The finest levels are not used, so they are left out in one step.
    factor = max(1, coarsest // 4)
    smaller = (width // factor, height // factor)
    weighted, shares = (
        # OpenCV drops a last axis of length 1.
        cv2.resize(array, smaller, interpolation=cv2.INTER_AREA).reshape(*smaller[::-1], -1)
        for array in (np.asarray(values, np.float32) * share, share)
    )
    level = np.concatenate([weighted, shares], axis=-1)
    levels = []
    while min(level.shape[:2]) > 2:
        levels.append(level)
        level = cv2.pyrDown(level)
    skipped = int(np.log2(coarsest / factor))
    spread = _mean(level)
    for number in reversed(range(len(levels))):
        level = levels[number]
        spread = cv2.pyrUp(spread, dstsize=level.shape[1::-1]).reshape(*level.shape[:2], -1)
        if number >= skipped:
            spread += (_mean(level) - spread) * np.minimum(level[..., -1:] * 4, 1)
    smooth = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, np.float32).reshape(height, width, -1)


def _mean(level: Array) -> Array:
    """(h, w, C) of weighted values and their weight."""
    mean: Array = level[..., :-1] / (level[..., -1:] + _NEXT_TO_NOTHING)
    return mean
