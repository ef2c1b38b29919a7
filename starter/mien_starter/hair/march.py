# SPDX-License-Identifier: Apache-2.0
"""Strands that are laid step by step: combed along the scalp, then hanging, never through skin.

Letters  S strands, N steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_starter.hair.comb import Comb
from mien_starter.hair.distance import DistanceField
from mien_starter.hair.places import Places
from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.vectors import unit

__all__ = ["STEPS", "combed"]

Array = npt.NDArray[np.float64]

STEPS = 120
_SKIN_M = 0.0014  # hair lies at least this far above the skin, away from its root
_STEEPEST = 0.98  # sine of the angle at a root


def combed(recipe: HairstyleRecipe, places: Places, reach: Array, field: DistanceField) -> Array:
    """Lay the strands of loose hair.

    Args:
        recipe: the style.
        places: its roots.
        reach: (S,) metres to go.
        field: the distance from the skin.

    Returns:
        (S, N + 1, 3) points at equal distances, reach / N, the root first.
    """
    step = (reach / STEPS)[:, None]
    rate = np.minimum(1.0, step / recipe.bend_m)
    comb = Comb(recipe, places)
    lift = _lift(recipe, places)[:, None]
    depth = (recipe.volume_m * places.layer)[:, None]
    point, out = places.roots.copy(), places.normals
    toward = unit(np.sqrt(1 - lift**2) * comb.flow(point, out) + lift * out)
    above = np.zeros(len(point))
    trail = np.empty((len(point), STEPS + 1, 3))
    trail[:, 0] = point
    for index in range(1, STEPS + 1):
        gone = step * index
        want = comb.wanted(point, out, above, gone, lift)
        toward = unit(toward + rate * (want - toward))
        aim = point + step * toward
        aim[:, 0] += comb.kept_off_the_face(aim)
        above, out = (values.astype(np.float64) for values in field.at(aim))
        # Hair rises to its layer over about as far as the layer is high.
        level = depth * (1 - np.exp(-gone / np.maximum(1.5 * depth, 0.006)))
        level = np.minimum(np.maximum(level, _SKIN_M), gone * np.maximum(lift, 0.35))[:, 0]
        aim += out * np.maximum(level - above, 0)[:, None]
        aim += comb.over_the_ear(aim, level, gone[:, 0])
        toward = unit(aim - point)
        point = point + step * toward
        trail[:, index] = point
    return trail


def _lift(recipe: HairstyleRecipe, places: Places) -> Array:
    lift = np.clip(recipe.lift + recipe.quiff * places.front, 0, _STEEPEST)
    return np.where(places.fringe, min(recipe.lift, 0.5), lift)
