# SPDX-License-Identifier: Apache-2.0
"""Where along its strand a card has its points: closer together where hair bends.

A straight piece of length h misses a curve by about h squared times its curvature; so the density
of points goes with the root of the curvature, here of all strands of a hairstyle together. Hair
bends over the skull and then hangs: without this, a card of few pieces cuts through the head.

Letters: S strands, P points, N knots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.strands import Strands

__all__ = ["knots_of", "points_along"]

FEWEST, MOST = 3, 48
_CANDIDATES = (3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48)
# Four of five strands are followed this closely, if the number of knots allows it.
_TOLERANCE_M, _SHARE = 0.002, 0.8
_FLOOR = 0.25  # of the mean density, where nothing bends
_LOOKED_AT = 120


def knots_of(strands: Strands, most: int) -> NDArray[np.float64]:
    """(N,) parts of the way, from 0 to 1, that follow the strands with as few pieces as will do.

    Args:
        strands: S 1 or more.
        most: pieces, N - 1, that are allowed; 3 or more.
    """
    some = strands.points[:: -(-len(strands) // _LOOKED_AT)]
    fine = np.linspace(0, 1, 4 * MOST + 1)
    course = points_along(some, fine)
    density = _density(course)
    for pieces in (*(n for n in _CANDIDATES if n < most), most):
        knots = _spread(density, fine, pieces)
        right = np.clip(np.searchsorted(knots, fine), 1, pieces)
        part = ((fine - knots[right - 1]) / (knots[right] - knots[right - 1]))[:, None]
        corners = points_along(some, knots)
        drawn = corners[:, right - 1] * (1 - part) + corners[:, right] * part
        off = np.linalg.norm(drawn - course, axis=2).max(axis=1)
        if np.quantile(off, _SHARE) <= _TOLERANCE_M:
            break
    return knots


def points_along(
    points: NDArray[np.float32] | NDArray[np.float64], along: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(S, N, 3) places at parts of the way, 0 to 1, through (S, P, 3) points."""
    place = along * (points.shape[1] - 1)
    before = np.minimum(place.astype(np.int64), points.shape[1] - 2)
    part = (place - before)[:, None]
    return np.asarray(points[:, before] * (1 - part) + points[:, before + 1] * part)


def _density(course: NDArray[np.float64]) -> NDArray[np.float64]:
    """How closely knots should lie at each point of the course, with a mean of 1."""
    reach = 4  # points to either side: bends between two given points are not to be seen
    bends = course[:, 2 * reach :] + course[:, : -2 * reach] - 2 * course[:, reach:-reach]
    strength = np.sqrt(np.linalg.norm(bends, axis=2).mean(axis=0))
    strength = np.pad(strength, reach, mode="edge")
    strength = strength / max(float(strength.mean()), 1e-12)
    return np.asarray(_FLOOR + (1 - _FLOOR) * strength)


def _spread(
    density: NDArray[np.float64], places: NDArray[np.float64], pieces: int
) -> NDArray[np.float64]:
    """Knots with as much density between any two as between the next two."""
    between = (density[1:] + density[:-1]) / 2
    total = np.concatenate([[0.0], np.cumsum(between)])
    return np.interp(np.linspace(0, total[-1], pieces + 1), total, places)
