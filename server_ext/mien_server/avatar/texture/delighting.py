# SPDX-License-Identifier: Apache-2.0
"""Takes the light out of what a photograph shows of a face.

The model is that of the renderer: colour = albedo times shading, and shading is linear in a light
of nine spherical harmonics (`mien_server.rendering.lighting`). A fit's light is the guess of a
network; with the albedo it guessed, the photograph itself says more about the light, so it can be
fitted again. Gains that would blow up what is dark are held back, and such texels count less. A
channel that the camera cut off, red early in warm light, is put back with the help of the others.

Letters  S side of the texture, N texels. Colours are RGB as they are encoded, as in DECA.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.projection import Samples
from mien_server.avatar.texture.regions import ramp
from mien_server.rendering import sh_basis

__all__ = ["delit", "refined_light"]

Array = NDArray[Any]

# Shading is not taken for less than this share of its median over the face.
DARKEST = 0.15
# Shares of the median between which trust in a texel grows from none to all.
TRUSTED = (0.15, 0.45)
# Second brightest channel of a photograph, beyond which too little is left to go by.
BURNT = (0.998, 0.96)
# A single channel between which it is believed, and is thought to be cut off.
CUT_OFF = (0.955, 0.99)
# Where the other channels say more than this many times the albedo it should be, that is gloss.
GLOSSY = 1.1

REFINING_TEXELS = 6000
ROUNDS = 5
# Weight of the first guess, in shares of what the texels say about an even light.
GUESS_WEIGHT = 0.02
OUTLIER = 2.5  # in robust standard deviations


def delit(samples: Samples, light: Array, albedo: Array | None = None) -> Samples:
    """Divide what was seen by the light that fell on it.

    Args:
        samples: of a photograph.
        light: (9, 3) or (27,).
        albedo: (S, S, 3) RGB 0..1, what it is thought to be: puts back channels that were cut off;
            None leaves them as they are.

    Returns:
        Samples of albedo, some with less weight; colours may exceed 1.
    """
    used = samples.weight > 0
    if not used.any():
        return samples
    seen = samples.colour[used]
    shade = sh_basis(samples.normal[used]) @ np.asarray(light, np.float32).reshape(9, 3)
    level = np.median(shade, axis=0).clip(1e-3)
    trust = ramp((shade / level).min(axis=1), *TRUSTED)
    trust *= ramp(np.median(seen, axis=1), *BURNT)
    divided = seen / np.maximum(shade, DARKEST * level)
    if albedo is not None:
        divided = _put_back(divided, seen, albedo[used])
    colour, weight = samples.colour.copy(), samples.weight.copy()
    colour[used] = divided
    weight[used] *= trust.astype(np.float32)
    return replace(samples, colour=colour, weight=weight)


def refined_light(samples: Samples, albedo: Array, light: Array) -> NDArray[np.float32]:
    """The light that explains a photograph best, given what the face's albedo is thought to be.

    Weighted least squares of brightness, repeated with less weight on what does not fit: hair,
    shadows, highlights. The light's colour stays that of the first guess.

    Args:
        samples: of the photograph.
        albedo: (S, S, 3) RGB 0..1.
        light: (9, 3) or (27,) first guess.

    Returns:
        (9, 3).
    """
    guess = np.asarray(light, np.float64).reshape(9, 3)
    used = np.flatnonzero(samples.weight.ravel() > 0.5)
    if len(used) < 9:
        return guess.astype(np.float32)
    some = used[:: max(1, len(used) // REFINING_TEXELS)]
    basis = sh_basis(samples.normal.reshape(-1, 3)[some]).astype(np.float64)
    seen = samples.colour.reshape(-1, 3)[some].astype(np.float64)
    painted = albedo.reshape(-1, 3)[some].astype(np.float64)
    tint = np.maximum(guess[0], 1e-3) / max(float(guess[0].mean()), 1e-3)
    rows = (painted * tint).mean(axis=1)[:, None] * basis
    target = seen.mean(axis=1)
    first = guess.mean(axis=1)
    pull = GUESS_WEIGHT * float(np.square(rows[:, 0]).sum()) * np.eye(9)
    found, weight = first, np.ones(len(some))
    for _ in range(ROUNDS):
        weighted = rows * weight[:, None]
        found = np.linalg.solve(weighted.T @ rows + pull, weighted.T @ target + pull @ first)
        residual = np.abs(rows @ found - target)
        spread = max(1.4826 * float(np.median(residual)), 1e-4)
        weight = 1 / (1 + (residual / (OUTLIER * spread)) ** 2) ** 2
    return np.asarray(found[:, None] * tint, np.float32)


def _put_back(divided: Array, seen: Array, albedo: Array) -> Array:
    """(N, 3) albedo that, where a channel was cut off, is as bright as the other ones say.

    Its colour is then that of the albedo it should be.
    """
    cut = ramp(seen, *CUT_OFF)
    if not cut.any():
        return divided
    left = 1 - cut + 1e-3
    ratio = (divided / np.maximum(albedo, 0.02) * left).sum(axis=1) / left.sum(axis=1)
    restored = albedo * np.minimum(ratio, GLOSSY)[:, None]
    result: Array = divided + (restored - divided) * cut.max(axis=1, keepdims=True)
    return result
