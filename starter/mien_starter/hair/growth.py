# SPDX-License-Identifier: Apache-2.0
"""From a recipe to the strands of a style on the scalp's grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_server.hair.polylines import curliness_of
from mien_server.hair.strands import GRID, GRID_POINTS
from mien_starter.hair.curls import curled
from mien_starter.hair.cutting import cut_lengths, reach_of
from mien_starter.hair.finish import cut_to, evened, pushed_out
from mien_starter.hair.grounds import Ground, shipped_ground
from mien_starter.hair.march import combed
from mien_starter.hair.places import Places, places_of
from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.tied import gathered, is_tied

__all__ = ["grow"]

Array = npt.NDArray[np.float64]

_SHORTEST_M = 0.001
_STREAM = 77  # tells this use of a seed from others


def grow(
    recipe: HairstyleRecipe, seed: int = 0, ground: Ground | None = None
) -> npt.NDArray[np.float32]:
    """Grow a hairstyle; about 0.2 s of one core.

    Args:
        recipe: the style.
        seed: of its irregularities; the same gives the same strands.
        ground: the head; the shipped one by default.

    Returns:
        (32, 32, 100, 4) x, y, z in metres in the frame of the mean head, and the curliness of
        `mien_server.hair.polylines.curliness_of`, which is curvature times the square of the
        distance between points, metres. The first point is the root of the cell, distances between
        points are equal within a strand, and cells without hair are all zeros.
    """
    rng = np.random.default_rng([seed, _STREAM])
    ground = shipped_ground() if ground is None else ground
    places = places_of(recipe, ground.scalp, rng)
    points = _laid(recipe, places, ground, rng)
    length = np.sqrt((np.diff(points, axis=1) ** 2).sum(axis=2)).sum(axis=1)
    places, points = places.only(length > _SHORTEST_M), points[length > _SHORTEST_M]
    points = curled(recipe, places, points, ground.field, rng)
    for _ in range(2):
        points = evened(pushed_out(points, ground.field))
    grid = np.zeros((GRID * GRID, GRID_POINTS, 4), np.float32)
    grid[places.cells, :, :3] = points
    grid[places.cells, :, 3] = curliness_of(points)
    return grid.reshape(GRID, GRID, GRID_POINTS, 4)


def _laid(
    recipe: HairstyleRecipe, places: Places, ground: Ground, rng: np.random.Generator
) -> Array:
    """(S, 100, 3) strands, tied or cut, without waves."""
    tied = is_tied(recipe, places)
    points = np.empty((len(tied), GRID_POINTS, 3))
    if tied.any():
        trail = gathered(recipe, places.only(tied), ground.field, rng)
        points[tied] = cut_to(trail, np.inf)
    if not tied.all():
        loose = places.only(~tied)
        trail = combed(recipe, loose, reach_of(loose), ground.field)
        points[~tied] = cut_to(trail, cut_lengths(recipe, loose, trail, rng))
    return points
