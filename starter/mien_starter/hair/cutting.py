# SPDX-License-Identifier: Apache-2.0
"""How much of a laid strand the scissors leave.

Letters  S strands, N steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_starter.hair.places import Places, ramp
from mien_starter.hair.recipe import RANGES, HairstyleRecipe

__all__ = ["cut_lengths", "reach_of"]

Array = npt.NDArray[np.float64]

_FRINGE_REACH_M = 0.16  # a fringe is laid this far and cut by height
_NO_HEM = -9.0
_EAR, _EAR_SIZE = np.array([0.082, 0.003, -0.017]), np.array([0.016, 0.042, 0.036])
_AROUND_EARS_M = (0.015, 0.10)  # hair of these lengths is cut around the ears
_SHOULDER_X, _SHOULDER_Y = 0.135, -0.10


def reach_of(places: Places) -> Array:
    """(S,) metres that strands are laid before they are cut."""
    return np.where(places.fringe, np.maximum(places.length, _FRINGE_REACH_M), places.length)


def cut_lengths(
    recipe: HairstyleRecipe, places: Places, trail: Array, rng: np.random.Generator
) -> Array:
    """Metres that are left of each strand.

    Args:
        recipe: the style.
        places: its S roots.
        trail: (S, N + 1, 3) the strands, points at equal distances.
        rng: of uneven ends.

    Returns:
        (S,).
    """
    uneven = recipe.irregular * recipe.ragged * rng.normal(0, 1, len(trail))
    crossed = _below_the_hem(recipe, places, trail, uneven)
    crossed |= _below_the_fringe(recipe, places, trail, uneven)
    crossed |= _in_the_way(recipe, places, trail)
    crossed[:, 0] = False
    steps = trail.shape[1] - 1
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), steps)
    step = np.sqrt(((trail[:, 1] - trail[:, 0]) ** 2).sum(axis=1))
    return np.minimum(step * first, np.where(places.fringe, np.inf, places.length))


def _below_the_hem(
    recipe: HairstyleRecipe, places: Places, trail: Array, uneven: Array
) -> npt.NDArray[np.bool_]:
    if recipe.hem_y <= RANGES["hem_y"][0]:
        return np.zeros(trail.shape[:2], bool)
    hem = recipe.hem_y - 0.35 * recipe.hem_slope * (trail[..., 2] + 0.02)
    hem = hem + (0.15 * recipe.layers * places.inward + 0.008 * uneven)[:, None]
    return np.asarray(trail[..., 1] < hem)


def _below_the_fringe(
    recipe: HairstyleRecipe, places: Places, trail: Array, uneven: Array
) -> npt.NDArray[np.bool_]:
    # It is longest at the temples, where it meets the hair beside the face.
    corner = ramp(places.azimuth, 16 + 28 * recipe.fringe, 24 + 42 * recipe.fringe)
    level = recipe.fringe_y - 0.03 * corner + 0.004 * uneven
    level = np.where(places.fringe, level, _NO_HEM)
    return np.asarray((trail[..., 1] < level[:, None]) & (trail[..., 2] > 0.04))


def _in_the_way(recipe: HairstyleRecipe, places: Places, trail: Array) -> npt.NDArray[np.bool_]:
    """Before the eyes, over the ears of short hair, or down the outer side of a shoulder."""
    x, y, z = np.abs(trail[..., 0]), trail[..., 1], trail[..., 2]
    eyes = (x < 0.05 + recipe.wave_m) & (y < 0.047 + recipe.wave_m) & (y > -0.09) & (z > 0.055)
    eyes &= ~places.fringe[:, None]
    mirrored = np.stack([x, y, z], axis=-1)
    ears = (((mirrored - _EAR) / _EAR_SIZE) ** 2).sum(axis=2) < 1
    least, most = _AROUND_EARS_M
    ears &= ((places.length > least) & (places.length < most))[:, None]
    ears[:, : trail.shape[1] // 8] = False  # what is rooted there stays
    return np.asarray(eyes | ears | ((x > _SHOULDER_X) & (y < _SHOULDER_Y)))
