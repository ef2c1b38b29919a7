# SPDX-License-Identifier: Apache-2.0
"""Waves, curls and frizz, wound about strands that are laid and cut.

Letters  S strands, P points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_starter.hair.distance import DistanceField
from mien_starter.hair.places import Places, smooth_noise
from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.vectors import carried, unit

__all__ = ["curled", "wound"]

Array = npt.NDArray[np.float64]

_MOST_TURNS = 14  # that a hundred points can show
_ROOT_M = 0.07  # waves reach their height this far from where they begin, or sooner
_ON_SKIN_M = 0.004  # height of waves that lie on the skin
_STRAY = 0.10  # how far frizz strays, as a share of the distance from the root
_STRAY_REACH_M = 0.06


def curled(
    recipe: HairstyleRecipe,
    places: Places,
    points: Array,
    field: DistanceField,
    rng: np.random.Generator,
) -> Array:
    """Curl strands as the recipe says.

    Args:
        recipe: the style.
        places: its S roots.
        points: (S, P, 3) at equal distances.
        field: the distance from the skin, on which curls are flat.
        rng: of irregularities.

    Returns:
        (S, P, 3) points, no longer at equal distances.
    """
    total = np.sqrt((np.diff(points, axis=1) ** 2).sum(axis=2)).sum(axis=1)
    along = total[:, None] * np.linspace(0, 1, points.shape[1])
    # Curls wind the other way on the other half of the head.
    hand = np.where(places.roots[:, 0] >= 0, 1.0, -1.0)
    if recipe.wave_m > 0:
        above = field.at(points.reshape(-1, 3))[0].reshape(along.shape)
        room = _ON_SKIN_M + 0.8 * np.maximum(above, 0)
        points = _waved(recipe, places, points, along, np.minimum(recipe.wave_m, room), hand, rng)
    if recipe.frizz * recipe.irregular > 0:
        points = _frizzed(recipe, points, along, hand, rng)
    return points


def wound(
    points: Array,
    amplitude: Array,
    wave_length: Array,
    phase: Array,
    turn: Array,
    roundness: float,
    hand: Array,
) -> Array:
    """Wind strands about themselves.

    Args:
        points: (S, P, 3) at equal distances.
        amplitude: (S, P) metres.
        wave_length: (S,) metres.
        phase: (S,) radians.
        turn: (S,) radians, which way flat waves lie.
        roundness: 0 for flat waves, 1 for corkscrews.
        hand: (S,) 1 or -1, which way corkscrews wind.
    """
    ahead = unit(np.gradient(points, axis=1))
    # Turned with the hand, so that a mirrored strand winds as the mirror shows it.
    first = hand[:, None] * unit(np.cross(ahead[:, 0], [0.0, 0.35, 1.0]))
    across = carried(first, ahead)
    beside = np.cross(ahead, across)
    step = np.sqrt((np.diff(points, axis=1) ** 2).sum(axis=2)).mean(axis=1)
    angle = (2 * np.pi * hand * step / wave_length)[:, None] * np.arange(points.shape[1])
    angle = angle + phase[:, None]
    main, minor = amplitude * np.cos(angle), amplitude * roundness * np.sin(angle)
    c, s = np.cos(turn)[:, None], np.sin(turn)[:, None]
    offset = (main * c - minor * s)[..., None] * across + (main * s + minor * c)[..., None] * beside
    return np.asarray(points + offset)


def _waved(
    recipe: HairstyleRecipe,
    places: Places,
    points: Array,
    along: Array,
    height: Array,
    hand: Array,
    rng: np.random.Generator,
) -> Array:
    chance, roots, total = recipe.irregular, places.roots, along[:, -1]
    alike = 0.010 + 0.03 * recipe.locks

    def varied(share: float) -> Array:
        return np.asarray(1 + share * chance * smooth_noise(roots, alike, rng))

    begin = recipe.wave_from * total[:, None]
    grown = np.clip((along - begin) / np.minimum(_ROOT_M, 0.4 * total)[:, None], 0, 1)
    amplitude = height * np.clip(varied(0.25), 0, None)[:, None] * grown
    wave_length = recipe.wave_length_m * np.clip(varied(0.15), 0.6, 1.6)
    phase = (1.5 + 2.5 * recipe.roundness) * smooth_noise(roots, alike, rng)
    phase = phase + (1 - recipe.locks) * rng.normal(0, 1.5, len(roots))
    turn = 1.2 * smooth_noise(roots, 0.03, rng)
    return wound(
        points,
        amplitude,
        np.maximum(wave_length, total / _MOST_TURNS),
        chance * phase * hand,
        chance * turn * hand,
        recipe.roundness,
        hand,
    )


def _frizzed(
    recipe: HairstyleRecipe,
    points: Array,
    along: Array,
    hand: Array,
    rng: np.random.Generator,
) -> Array:
    stray = _STRAY * recipe.frizz * recipe.irregular * np.minimum(along, _STRAY_REACH_M)
    for waves in (1.3, 2.9):
        turn, phase = rng.uniform(0, 2 * np.pi, (2, len(points)))
        amount = stray * rng.normal(0, 0.5, len(points))[:, None]
        length = np.maximum(along[:, -1] / waves, 0.004)
        points = wound(points, amount, length, phase, turn, 0.3, hand)
    return points
