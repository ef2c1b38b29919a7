# SPDX-License-Identifier: Apache-2.0
"""Strands in few bytes: what a file of the shipped hairstyles holds.

Points are whole numbers of a unit that each strand has, counted from its root. Stored are second
differences along the strand, which are small. The way back is two sums:

    steps = cumsum([step, *bends]); points = root + unit * cumsum([0, *steps])

Letters  S strands, P = 100 points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_server.hair.polylines import curliness_of
from mien_server.hair.strands import GRID, GRID_POINTS

__all__ = ["arrays_from_grid", "grid_from_arrays"]

Array = npt.NDArray[Any]

_UNITS_PER_STEP = 64  # of the distance between two points; fewer where hair bends sharply
_LARGEST = 127


def arrays_from_grid(grid: npt.ArrayLike) -> dict[str, Array]:
    """The arrays of a file.

    Args:
        grid: (32, 32, 100, 4) strands; curliness is left out, for it follows from the points.

    Returns:
        grid_cells (S,) int16 row * 32 + column; root (S, 3) float32 metres; unit (S,) float32
        metres; step (S, 3) int8, the first point after the root; bends (S, 98, 3) int8.
    """
    strands = np.asarray(grid, np.float64)[..., :3].reshape(GRID * GRID, GRID_POINTS, 3)
    cell = np.flatnonzero(strands.any(axis=(1, 2)))
    points = strands[cell]
    root = points[:, :1].astype(np.float32)
    distance = np.sqrt((np.diff(points, axis=1) ** 2).sum(axis=2)).mean(axis=1)
    sharpest = np.abs(np.diff(points, 2, axis=1)).max(axis=(1, 2), initial=0.0) / distance
    # Rounding three points may add two to a bend.
    units = np.minimum(_UNITS_PER_STEP, (_LARGEST - 2) / np.maximum(sharpest, 1e-9))
    unit = (distance / units).astype(np.float32)
    counted = np.round((points - root) / unit[:, None, None]).astype(np.int64)
    steps = np.diff(counted, axis=1)
    return {
        "grid_cells": cell.astype(np.int16),
        "root": root[:, 0],
        "unit": unit,
        "step": steps[:, 0].astype(np.int8),
        "bends": np.diff(steps, axis=1).astype(np.int8),
    }


def grid_from_arrays(arrays: Mapping[str, Array]) -> npt.NDArray[np.float32]:
    """(32, 32, 100, 4) strands of a file's arrays, curliness included."""
    first = arrays["step"][:, None].astype(np.int64)
    steps = np.cumsum(np.concatenate([first, arrays["bends"]], axis=1), axis=1)
    counted = np.concatenate([np.zeros_like(first), np.cumsum(steps, axis=1)], axis=1)
    points = arrays["root"][:, None] + arrays["unit"][:, None, None] * counted
    grid = np.zeros((GRID * GRID, GRID_POINTS, 4), np.float32)
    grid[arrays["grid_cells"], :, :3] = points
    grid[arrays["grid_cells"], :, 3] = curliness_of(points)
    return grid.reshape(GRID, GRID, GRID_POINTS, 4)
