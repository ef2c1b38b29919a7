# SPDX-License-Identifier: Apache-2.0
"""Strands of hair, one by one and on the scalp's grid of HairNet.

Paper    Zhou et al. 2018, *HairNet*, section 3.1: 32 x 32 strands of 100 points, and a curvature
         beside x, y and z, here called curliness.
Frame    of the head: metres, y up, the face towards +z. Letters: S strands, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GRID", "GRID_POINTS", "Strands", "strands_from_grid"]

GRID, GRID_POINTS = 32, 100


@dataclass(frozen=True, slots=True, eq=False)
class Strands:
    """Strands that are there, all with as many points; a bald head has none.

    Attributes:
        points: (S, P, 3) float32 metres, the root first; P is 2 or more.
        curliness: (S, P) float32 of each point, 0 and up.

    Raises:
        ValueError: a shape that is not allowed, or a number that is not finite.
    """

    points: NDArray[np.float32]
    curliness: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in ("points", "curliness"):
            array = np.ascontiguousarray(getattr(self, name), np.float32)
            if not np.isfinite(array).all():
                raise ValueError(f"{name} of strands has values that are not finite")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        shape = self.points.shape
        if len(shape) != 3 or shape[2] != 3 or shape[1] < 2:
            raise ValueError(f"points of strands have shape {shape}; they must be (S, P >= 2, 3)")
        if self.curliness.shape != shape[:2]:
            raise ValueError(
                f"curliness of strands has shape {self.curliness.shape}; it must be {shape[:2]}"
            )

    def __len__(self) -> int:
        """S."""
        return len(self.points)

    @property
    def roots(self) -> NDArray[np.float32]:
        """(S, 3) where they leave the scalp."""
        return self.points[:, 0]


def strands_from_grid(grid: ArrayLike) -> Strands:
    """The strands of a scalp's grid; a cell of zeros alone has none.

    Args:
        grid: (32, 32, 100, 4) x, y, z and curliness.

    Raises:
        ValueError: another shape, or a number that is not finite.
    """
    cells = np.asarray(grid, np.float32)
    if cells.shape != (GRID, GRID, GRID_POINTS, 4):
        raise ValueError(
            f"a grid of strands has shape {cells.shape}; it must be {(GRID, GRID, GRID_POINTS, 4)}"
        )
    rows = cells.reshape(GRID * GRID, GRID_POINTS, 4)
    rows = rows[rows.any(axis=(1, 2))]
    return Strands(rows[..., :3], rows[..., 3])
