# SPDX-License-Identifier: Apache-2.0
"""Colours of hair from place to place: darker at the roots and inside, where little light comes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.frames import outward
from mien_server.hair.strands import Strands

__all__ = ["depth_within", "light_within", "middle_of"]

_COLUMNS, _ROWS = 24, 12  # of the map of how far hair reaches, around and from top to bottom
_DARK_AFTER_M = 0.030
_DARKEST = 0.45


def middle_of(strands: Strands) -> NDArray[np.float64]:
    """(3,) about the middle of the head below the hair: 9 cm under its highest root."""
    roots = strands.roots.astype(np.float64)
    low, high = roots.min(axis=0), roots.max(axis=0)
    return np.array([(low[0] + high[0]) / 2, high[1] - 0.09, (low[2] + high[2]) / 2])


def light_within(points: ArrayLike, strands: Strands, middle: ArrayLike) -> NDArray[np.float64]:
    """(...,) 0.45 deep inside the hair to 1 at its surface: a factor of its colour.

    Args:
        points: (..., 3).
        strands: all of the hair.
        middle: (3,) of the head.
    """
    depth = depth_within(points, strands, middle)
    t = np.clip(1 - depth / _DARK_AFTER_M, 0, 1)
    return _DARKEST + (1 - _DARKEST) * t * t * (3 - 2 * t)


def depth_within(points: ArrayLike, strands: Strands, middle: ArrayLike) -> NDArray[np.float64]:
    """(...,) metres of hair between points and the outside, 0 and up, by direction and height."""
    reach = np.zeros((_ROWS, _COLUMNS))
    # Each sixth point will do: neighbouring strands reach equally far.
    row, column, far = _places(strands.points[:, ::-6].reshape(-1, 3), middle)
    bins = row.astype(np.int64).clip(0, _ROWS - 1), column.astype(np.int64) % _COLUMNS
    np.maximum.at(reach, bins, far)
    # Bins are coarse: half of a neighbour's reach counts, and none is left empty by chance.
    tall = np.pad(reach, ((1, 1), (0, 0)), mode="edge")
    around = [
        np.roll(tall[1 + i : 1 + i + _ROWS], j, axis=1) for i in (-1, 0, 1) for j in (-1, 0, 1)
    ]
    smooth = np.mean([np.where(part > 0, part, reach) for part in around], axis=0)
    row, column, far = _places(np.asarray(points, np.float64).reshape(-1, 3), middle)
    depth = np.maximum(_between(smooth, row, column) - far, 0)
    return np.asarray(depth.reshape(np.shape(points)[:-1]))


def _between(
    reach: NDArray[np.float64], row: NDArray[np.float64], column: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a map says at places between the middles of its bins; columns go round."""
    row, column = (row - 0.5).clip(0, _ROWS - 1), column - 0.5
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    down, across = row - top, column - left
    bottom, right = np.minimum(top + 1, _ROWS - 1), (left + 1) % _COLUMNS
    upper = reach[top, left % _COLUMNS] * (1 - across) + reach[top, right] * across
    lower = reach[bottom, left % _COLUMNS] * (1 - across) + reach[bottom, right] * across
    return np.asarray(upper * (1 - down) + lower * down)


def _places(
    points: NDArray[np.float32] | NDArray[np.float64], middle: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row and column of each point, and its distance from the middle, or from the axis below it."""
    away = points.astype(np.float64) - np.asarray(middle, np.float64)
    direction = outward(points, middle)
    above = away[:, 1] > 0
    # Rows run over the dome by the sine of the elevation, then down along the axis by height.
    dome = (1 - direction[:, 1]) * (_ROWS / 2)
    below = _ROWS / 2 - away[:, 1] / 0.05
    row = np.where(above, dome, below)
    turn = np.arctan2(direction[:, 0], direction[:, 2]) / (2 * np.pi) + 0.5
    far = np.where(above, np.linalg.norm(away, axis=1), np.hypot(away[:, 0], away[:, 2]))
    return row, turn * _COLUMNS, far
