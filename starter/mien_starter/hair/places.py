# SPDX-License-Identifier: Apache-2.0
"""What a root's place on the scalp decides: its length, its layer, and which zone it belongs to.

Letters  S roots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.scalp import HAIRLINE_RADIUS, Scalp

__all__ = ["Places", "places_of", "ramp", "smooth_noise"]

Array = npt.NDArray[np.float64]

_SHORTEST_M = 0.001
_STUBBLE_M = 0.0015
_HIGHEST_FADE = 0.5  # of the way from hairline to whorl
_WAVES = 24  # that smooth noise is made of


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The roots of one style and what they carry.

    Attributes:
        cells: (S,) row * 32 + column.
        roots: (S, 3) metres.
        normals: (S, 3) unit, outwards.
        azimuth: (S,) degrees from the forehead, without sign.
        inward: (S,) 0 at the hairline to 1 at the whorl.
        top: (S,) 0 on the sides to 1 on top.
        front: (S,) 0 to 1 along the forehead.
        length: (S,) metres before any cut.
        side: (S,) -1 or 1, the side of the parting.
        fringe: (S,) bool, whether it falls over the forehead.
        layer: (S,) 0 innermost to 1 outermost.
    """

    cells: npt.NDArray[np.int64]
    roots: Array
    normals: Array
    azimuth: Array
    inward: Array
    top: Array
    front: Array
    length: Array
    side: Array
    fringe: npt.NDArray[np.bool_]
    layer: Array

    def only(self, chosen: npt.NDArray[np.bool_]) -> Places:
        """Those of the roots."""
        return Places(*(getattr(self, name)[chosen] for name in self.__slots__))


def ramp(values: npt.ArrayLike, start: float, end: float) -> Array:
    """0 before start, 1 after end, smooth between; start may lie above end."""
    t = np.clip((np.asarray(values, np.float64) - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def smooth_noise(points: Array, length_m: float, rng: np.random.Generator) -> Array:
    """(N,) noise of unit variance over points (N, 3), alike within a length."""
    waves = rng.normal(0, 1 / length_m, (_WAVES, 3))
    phases = rng.uniform(0, 2 * np.pi, _WAVES)
    return np.asarray(np.cos(points @ waves.T + phases).sum(axis=1) * np.sqrt(2 / _WAVES))


def places_of(recipe: HairstyleRecipe, scalp: Scalp, rng: np.random.Generator) -> Places:
    """Read the recipe at every root that keeps hair.

    Args:
        recipe: the style.
        scalp: of the head.
        rng: of irregularities.
    """
    cells = np.flatnonzero(scalp.growable)
    roots = scalp.roots.reshape(-1, 3)[cells]
    azimuth = np.abs(np.rad2deg(scalp.azimuth.ravel()[cells]))
    inward = np.clip(1 - scalp.radius.ravel()[cells] / HAIRLINE_RADIUS, 0, 1)
    top = _top(recipe, roots)
    front = ramp(inward, 0.38, 0.02) * ramp(azimuth, 62, 38)
    length = _length(recipe, azimuth, inward, top, front)
    uneven = recipe.irregular * recipe.ragged * rng.uniform(-1, 1, len(cells))
    length = length * (1 + 0.10 * uneven)
    receding = 0.30 * recipe.recession
    receding = receding * (
        np.exp(-(((azimuth - 32) / 15) ** 2)) + 0.45 * np.exp(-((azimuth / 40) ** 2))
    )
    wide = 22 + 40 * recipe.fringe + recipe.irregular * rng.uniform(-7, 7, len(cells))
    fringe = (azimuth < wide) & (inward < 0.18 + 0.24 * recipe.fringe) & (recipe.fringe > 0)
    places = Places(
        cells=cells,
        roots=roots,
        normals=scalp.normals.reshape(-1, 3)[cells],
        azimuth=azimuth,
        inward=inward,
        top=top,
        front=front,
        length=length,
        side=np.where(roots[:, 0] >= recipe.part_x, 1.0, -1.0),
        fringe=fringe,
        layer=_layer(recipe, roots, inward, front, rng),
    )
    return places.only((inward >= receding) & (length >= _SHORTEST_M))


def _top(recipe: HairstyleRecipe, roots: Array) -> Array:
    # The ridge between sides and top falls towards the back.
    ridge = recipe.ridge_y - 0.10 * np.clip(-0.02 - roots[:, 2], 0, 0.1)
    soft = 0.004 + 0.035 * (1 - recipe.step)
    return ramp(roots[:, 1] - ridge, -soft, soft)


def _length(
    recipe: HairstyleRecipe, azimuth: Array, inward: Array, top: Array, front: Array
) -> Array:
    behind = ramp(azimuth, 105, 140)
    below = (1 - behind) * recipe.sides_m + behind * recipe.back_m
    length = top * recipe.top_m + (1 - top) * below
    if recipe.front_m > 0:
        length = length + front * (recipe.front_m - length)
    if recipe.fade > 0:
        reach = recipe.fade * _HIGHEST_FADE
        short = ramp(inward, 1.3 * reach, 0.05 * reach) * ramp(azimuth, 50, 62)
        length = length ** (1 - short) * _STUBBLE_M**short
    return np.asarray(length)


def _layer(
    recipe: HairstyleRecipe,
    roots: Array,
    inward: Array,
    front: Array,
    rng: np.random.Generator,
) -> Array:
    """Hair from above covers hair from below; before the face none may stand far off."""
    layer = (0.25 + 0.75 * inward**0.7) * (1 - 0.55 * front)
    if recipe.tie == "half_up":
        layer = 0.45 * layer
    layer = layer * (1 + 0.10 * recipe.irregular * smooth_noise(roots, 0.03, rng))
    layer = layer + 0.05 * recipe.irregular * rng.normal(0, 1, len(roots))
    return np.asarray(np.clip(layer, 0.1, 1.15))
