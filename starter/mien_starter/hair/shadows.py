# SPDX-License-Identifier: Apache-2.0
"""How much light reaches a point through hair.

Letters  S hairs, P points of each, N places.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_starter.hair.vectors import unit

__all__ = ["HairShadow"]

Array = npt.NDArray[np.float64]

_CELL_M = 0.006
_EVERY = 2  # of the points of a hair that counts


class HairShadow:
    """The shadow of hair in parallel light, from how much hair lies in the cells of a lattice.

    Args:
        hairs: (S, P, 3) metres.
        towards: (3,) to the light.
        width_m: of a hair as it blocks light; more where fewer hairs stand for all.
    """

    def __init__(self, hairs: Array, towards: npt.ArrayLike, width_m: float) -> None:
        ahead = unit(towards)
        side = unit(np.cross([0.0, 1.0, 0.1], ahead))
        self._frame = np.stack([side, np.cross(ahead, side), ahead])
        self._width = width_m
        chosen = hairs[:, ::_EVERY]
        points = chosen.reshape(-1, 3) @ self._frame.T
        if len(points) == 0:
            points = np.zeros((1, 3))
            weight = np.zeros(1)
        else:
            length = np.linalg.norm(np.diff(hairs, axis=1), axis=2).sum(axis=1)
            weight = np.repeat(length / chosen.shape[1], chosen.shape[1])
        self._low = points.min(axis=0) - 3 * _CELL_M
        sizes = np.ceil((points.max(axis=0) - self._low) / _CELL_M).astype(int) + 4
        cells = np.ravel_multi_index(tuple(((points - self._low) / _CELL_M).astype(int).T), sizes)
        metres = np.bincount(cells, weight, minlength=int(sizes.prod())).reshape(sizes)
        # Metres of hair before a cell's middle, per square metre across the light.
        before = np.cumsum(metres[..., ::-1], axis=2)[..., ::-1] - 0.5 * metres
        self._before = before / _CELL_M**2

    def at(self, places: Array) -> Array:
        """(N,) share of the light, 0 to 1, that reaches (N, 3) places."""
        place = (places @ self._frame.T - self._low) / _CELL_M - 0.5
        place[:, 2] += 0.8  # or hair would shade itself
        sizes = np.array(self._before.shape)
        place = np.clip(place, 0, sizes - 1.001)
        base = place.astype(int)
        part = place - base
        total = np.zeros(len(places))
        for corner in range(8):
            shift = np.array([corner >> 2, corner >> 1 & 1, corner & 1])
            share = np.where(shift, part, 1 - part).prod(axis=1)
            total += share * self._before[tuple((base + shift).T)]
        return np.asarray(np.exp(-self._width * total))
