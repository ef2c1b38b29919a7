# SPDX-License-Identifier: Apache-2.0
"""The last steps of every style: keep out of the skin, and set points at equal distances.

Letters  S strands, P points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_server.hair.strands import GRID_POINTS
from mien_starter.hair.distance import DistanceField

__all__ = ["cut_to", "evened", "pushed_out"]

Array = npt.NDArray[np.float64]


def cut_to(points: Array, length: npt.ArrayLike, count: int = GRID_POINTS) -> Array:
    """The first metres of polylines, points evenly along them.

    Args:
        points: (S, P, 3); repeated points are allowed.
        length: (S,) metres or one for all; where there are fewer, all are taken.
        count: points of each.

    Returns:
        (S, count, 3).
    """
    steps = np.sqrt((np.diff(points, axis=1) ** 2).sum(axis=2))
    along = np.concatenate([np.zeros((len(points), 1)), np.cumsum(steps, axis=1)], axis=1)
    total = np.minimum(np.asarray(length), along[:, -1])
    # One interpolation for all: each strand on an interval of its own.
    start = np.arange(len(points)) * (float(along.max(initial=0.0)) + 1.0)
    asked = total[:, None] * np.linspace(0, 1, count) + start[:, None]
    place = (along + start[:, None]).ravel()
    rows = points.reshape(-1, 3)
    return np.stack([np.interp(asked, place, rows[:, axis]) for axis in range(3)], axis=-1)


def evened(points: Array, rounds: int = 4) -> Array:
    """Move points (S, P, 3) along their polylines until neighbours are equally far apart."""
    for _ in range(rounds):
        points = cut_to(points, np.inf, points.shape[1])
    # What is left are bends between points; directions stay, and steps become equal.
    steps = np.diff(points, axis=1)
    size = np.sqrt((steps**2).sum(axis=2, keepdims=True))
    steps = steps / np.maximum(size, 1e-12) * size.mean(axis=1, keepdims=True)
    return np.concatenate([points[:, :1], points[:, :1] + np.cumsum(steps, axis=1)], axis=1)


def pushed_out(points: Array, field: DistanceField, least_m: float = 0.0018) -> Array:
    """Points (S, P, 3) that lie in the skin or too near it, moved out; roots stay.

    Near the root less distance is asked for, so that hair can leave the scalp.
    """
    steps = np.sqrt((np.diff(points, axis=1) ** 2).sum(axis=2))
    level = np.minimum(least_m, 0.3 * np.cumsum(steps, axis=1))
    moved = points.copy()
    for _ in range(2):
        above, out = field.at(moved[:, 1:].reshape(-1, 3))
        missing = np.maximum(level.ravel() - above, 0)
        moved[:, 1:] += (out * missing[:, None]).reshape(moved[:, 1:].shape)
    return moved
