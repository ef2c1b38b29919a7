# SPDX-License-Identifier: Apache-2.0
"""Hair that is gathered at a tie; `tails` says what becomes of it there.

Letters  S strands, N steps to the tie, M points behind it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_starter.hair.distance import DistanceField
from mien_starter.hair.places import Places, ramp, smooth_noise
from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.scalp import CENTRE
from mien_starter.hair.tails import RING_M, Tie, bun, tail
from mien_starter.hair.vectors import unit

__all__ = ["gathered", "is_tied"]

Array = npt.NDArray[np.float64]

_STEPS = 110
_PIGTAIL_SIDE = 0.62  # of the way from the back to the ear
_OFF_SKIN_M = 0.014  # the middle of a tie
_BEND_M = 0.010  # over which strands turn to the tie


def is_tied(recipe: HairstyleRecipe, places: Places) -> npt.NDArray[np.bool_]:
    """(S,) which strands are gathered; a fringe never is."""
    if recipe.tie == "loose":
        return np.zeros(len(places.cells), bool)
    if recipe.tie == "half_up":
        y, z = places.roots[:, 1], places.roots[:, 2]
        beside = ramp(places.azimuth, 95, 70)
        lowest = 0.072 - 0.03 * beside - 0.25 * np.clip(-z - 0.02, -0.02, 0.1)
        return np.asarray((y > lowest) & ~places.fringe)
    return ~places.fringe


def gathered(
    recipe: HairstyleRecipe, places: Places, field: DistanceField, rng: np.random.Generator
) -> Array:
    """Lay tied strands: along the scalp to the tie, then on.

    Args:
        recipe: the style, tied.
        places: the S roots of what is tied.
        field: the distance from the skin.
        rng: of irregularities.

    Returns:
        (S, N + M, 3) points from the root; where a strand waits at its tie, they repeat.
    """
    ties = _ties(recipe, field)
    which = np.zeros(len(places.cells), int)
    if len(ties) == 2:
        which = (places.roots[:, 0] < 0).astype(int)
    parts = []
    for index, tie in enumerate(ties):
        mine = places.only(which == index)
        angle, radius = _bundle(mine, tie, rng, recipe.irregular)
        to_tie = _to_tie(recipe, mine, field, tie, angle, radius)
        if recipe.tie == "bun":
            behind = bun(recipe, tie, angle, radius)
        else:
            behind = tail(recipe, tie, angle, radius, field, rng)
        parts.append(np.concatenate([to_tie, behind], axis=1))
    laid = np.empty((len(which), *parts[0].shape[1:]))
    for index, part in enumerate(parts):
        laid[which == index] = part
    return laid


def _ties(recipe: HairstyleRecipe, field: DistanceField) -> list[Tie]:
    height = np.deg2rad(90 * recipe.tie_height)
    pair = (_PIGTAIL_SIDE, -_PIGTAIL_SIDE)
    droop = 0.0 if recipe.tie == "bun" else float(np.clip(1.1 - 1.4 * recipe.tie_height, 0, 1))
    ties = []
    for side in pair if recipe.tie == "pigtails" else (recipe.tie_side,):
        turn = np.deg2rad(90 * side)
        back = np.cos(height)
        way = np.array([np.sin(turn) * back, np.sin(height), -np.cos(turn) * back])
        knot = CENTRE + 0.10 * way
        for _ in range(8):
            above, out = field.at(knot[None])
            knot = knot + way * (_OFF_SKIN_M - float(above[0]))
        leaving = way + 0.5 * out[0] - [0.0, droop, 0.0]
        ties.append(Tie(knot, unit(leaving)))
    return ties


def _bundle(
    places: Places, tie: Tie, rng: np.random.Generator, chance: float
) -> tuple[Array, Array]:
    """Where each strand lies in its tie: the angle it comes from, and 0 to 1 from the middle."""
    away = places.roots - tie.knot
    angle = np.arctan2(away @ tie.up, away @ tie.right)
    # Strands from afar lie outermost.
    far = np.sqrt((away**2).sum(axis=1))
    order = np.empty(len(far))
    order[np.argsort(far, kind="stable")] = np.linspace(0.03, 1, len(far))
    radius = np.sqrt(order) * (1 + chance * 0.12 * rng.normal(0, 1, len(far)))
    angle = angle + chance * 0.5 * smooth_noise(places.roots, 0.02, rng)
    return angle, np.clip(radius, 0.05, 1.1)


def _to_tie(
    recipe: HairstyleRecipe,
    places: Places,
    field: DistanceField,
    tie: Tie,
    angle: Array,
    radius: Array,
) -> Array:
    """(S, N, 3) the way along the scalp, to a place in the tie."""
    goal = tie.knot + RING_M * radius[:, None] * tie.across(angle)
    point, out = places.roots.copy(), places.normals
    distance = np.sqrt(((goal - point) ** 2).sum(axis=1))
    step = np.maximum(distance * 1.55, 0.02)[:, None] / _STEPS
    first = unit(goal - point)
    toward = unit(first - (first * out).sum(1, keepdims=True) * out + 0.5 * out)
    depth = 0.0015 + recipe.volume_m * (0.3 + 0.7 * radius)
    trail = np.empty((len(point), _STEPS, 3))
    trail[:, 0] = point
    for index in range(1, _STEPS):
        gone = (step * index)[:, 0]
        left = goal - point
        near = np.sqrt((left**2).sum(axis=1, keepdims=True))
        want = unit(left)
        flat = unit(want - (want * out).sum(axis=1, keepdims=True) * out)
        want = np.where(near > 0.03, flat - 0.15 * out, want)
        toward = unit(toward + np.minimum(1, step / _BEND_M) * (want - toward))
        aim = point + np.minimum(step, near) * toward
        above, out = (values.astype(np.float64) for values in field.at(aim))
        level = np.minimum(depth * (1 - np.exp(-gone / 0.012)), 0.6 * gone)
        level = np.minimum(level, 0.0014 + near[:, 0])
        aim += out * np.maximum(level - above, 0)[:, None]
        moved = point + np.minimum(step, near) * unit(aim - point)
        point = np.where(near < 1.5 * step, goal, moved)
        trail[:, index] = point
    trail[:, -1] = goal
    return trail
