# SPDX-License-Identifier: Apache-2.0
"""What hair is behind a tie: a tail that hangs, or a bun that is wound.

Letters  S strands, M points of each behind the tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien_starter.hair.distance import DistanceField
from mien_starter.hair.places import ramp
from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.vectors import carried, unit

__all__ = ["RING_M", "Tie", "bun", "tail"]

Array = npt.NDArray[np.float64]

RING_M = 0.007  # half the width of a tie
_POINTS = 150
_BEND_M = 0.022  # over which a tail turns down
_WIDEST_M = 0.07  # from the tie


@dataclass(frozen=True, slots=True, eq=False)
class Tie:
    """Where hair is tied.

    Attributes:
        knot: (3,) metres.
        way: (3,) unit, how hair leaves it.
    """

    knot: Array
    way: Array

    @property
    def right(self) -> Array:
        """(3,) unit, level and across the way."""
        return unit(np.cross([0.0, 1.0, 0.0], self.way))

    @property
    def up(self) -> Array:
        """(3,) unit, across the way and `right`."""
        return np.cross(self.way, self.right)

    def across(self, angle: Array) -> Array:
        """(S, 3) unit vectors across the way, at (S,) angles from `right` to `up`."""
        return np.asarray(np.cos(angle)[:, None] * self.right + np.sin(angle)[:, None] * self.up)


def tail(
    recipe: HairstyleRecipe,
    tie: Tie,
    angle: Array,
    radius: Array,
    field: DistanceField,
    rng: np.random.Generator,
) -> Array:
    """A tail that hangs from a tie.

    Args:
        recipe: the style.
        tie: where it begins.
        angle: (S,) where strands lie in it.
        radius: (S,) likewise, 0 in the middle, 1 at its surface.
        field: the distance from the skin.
        rng: of uneven ends.

    Returns:
        (S, M, 3).
    """
    line = _middle(recipe, tie, field)
    ahead = unit(np.gradient(line, axis=0))
    right = carried(tie.right, ahead)
    up = np.cross(ahead, right)
    share = np.linspace(0, 1, _POINTS)
    # Narrow at the tie, widest after a few centimetres, thin at the end.
    width = recipe.tail_width_m - RING_M
    wide = RING_M + width * ramp(share * recipe.tail_m, 0.0, _WIDEST_M)
    offset = radius[:, None] * wide * (1 - 0.65 * ramp(share, 0.45, 1.0))
    across = (offset * np.cos(angle)[:, None])[..., None] * right
    points = line + across + (offset * np.sin(angle)[:, None])[..., None] * up
    short = (0.05 + 0.25 * recipe.ragged) * recipe.irregular
    ends = 1 - short * rng.uniform(0, 1, len(angle)) ** 2
    place = share * ends[:, None] * (_POINTS - 1)
    base = np.minimum(place.astype(int), _POINTS - 2)
    part = (place - base)[..., None]
    rows = np.arange(len(angle))[:, None]
    return np.asarray(points[rows, base] * (1 - part) + points[rows, base + 1] * part)


def _middle(recipe: HairstyleRecipe, tie: Tie, field: DistanceField) -> Array:
    """(M, 3) the middle of a tail: out of the tie, over, and down along the back."""
    step = recipe.tail_m / (_POINTS - 1)
    at_side = float(ramp(abs(tie.knot[0]), 0.03, 0.06))
    point, toward = tie.knot, tie.way
    line = np.empty((_POINTS, 3))
    line[0] = point
    for index in range(1, _POINTS):
        gone = index * step
        # Over the shoulders a tail at the side falls to the front.
        ahead = 0.9 * at_side * float(ramp(point[1], -0.04, -0.12))
        want = np.array([0.0, -1.0, ahead]) * min(1.0, gone / 0.02)
        toward = unit(toward + min(1.0, step / _BEND_M) * (want - toward))
        aim = point + step * toward
        if gone > 0.01:
            above, out = field.at(aim[None])
            thin = 1 - 0.7 * float(ramp(index / _POINTS, 0.4, 1.0))
            room = 0.8 * recipe.tail_width_m * thin * min(1.0, gone / 0.05) + 0.003
            aim = aim + out[0] * max(room - float(above[0]), 0) * 0.4
        toward = unit(aim - point)
        point = point + step * toward
        line[index] = point
    return line


def bun(recipe: HairstyleRecipe, tie: Tie, angle: Array, radius: Array) -> Array:
    """Hair wound about its tie: around a ring, and about the ring's own middle.

    Args:
        recipe: the style.
        tie: under its middle.
        angle: (S,) where strands lie in the tie.
        radius: (S,) likewise, 0 to 1.

    Returns:
        (S, M, 3).
    """
    size = recipe.tail_width_m
    share = np.linspace(0, 1, _POINTS)
    turns = float(np.clip(recipe.tail_m / (2 * np.pi * 0.62 * size), 1.0, 3.0))
    around = angle[:, None] + 2 * np.pi * turns * share
    about = 2.2 * np.pi * turns * share + 3 * angle[:, None] + 2.4 * radius[:, None]
    thick = 0.48 * size * (0.35 + 0.65 * radius[:, None])
    # It starts in the tie, and its ends are hidden inside.
    start, end = ramp(share, 0.0, 0.10), ramp(share, 0.86, 1.0)
    ring = RING_M * radius[:, None] * (1 - start) + (0.55 * size + thick * np.cos(about)) * start
    height = (0.30 * size + thick * np.sin(about)) * start
    ring = ring * (1 - end) + 0.50 * size * end
    height = height * (1 - end) + 0.28 * size * end
    return np.asarray(
        tie.knot
        + (ring * np.cos(around))[..., None] * tie.right
        + (ring * np.sin(around))[..., None] * tie.up
        + height[..., None] * tie.way
    )
