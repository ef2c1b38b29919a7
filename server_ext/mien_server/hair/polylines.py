# SPDX-License-Identifier: Apache-2.0
"""Strands as polylines: lengths, points at equal distances, and how much they curl.

Letters: S strands, P points of each, N points of all of them together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.strands import Strands

__all__ = ["curliness_of", "lengths", "resampled", "strands_from_polylines", "with_points"]


def lengths(points: ArrayLike) -> NDArray[np.float64]:
    """(S,) metres along each strand of (S, P, 3) points."""
    steps = np.diff(np.asarray(points, np.float64), axis=1)
    total: NDArray[np.float64] = np.sqrt((steps**2).sum(axis=2)).sum(axis=1)
    return total


def resampled(points: ArrayLike, counts: ArrayLike, wanted: int) -> NDArray[np.float64]:
    """Points at equal distances along each polyline, its two ends among them.

    Args:
        points: (N, 3), one polyline after the other.
        counts: (S,) points of each, 2 or more, N together; none may have length 0.
        wanted: P, 2 or more.

    Returns:
        (S, P, 3); they lie on the polylines, so that distances between them are equal along the
        polyline, and shorter where it bends.

    Raises:
        ValueError: counts that are not allowed, or a polyline of length 0.
    """
    rows = np.asarray(points, np.float64).reshape(-1, 3)
    sizes = np.asarray(counts, np.int64)
    if wanted < 2 or (sizes < 2).any() or sizes.sum() != len(rows):
        raise ValueError(
            f"{len(rows)} points came for polylines of {sizes.sum()}, to be resampled to {wanted}; "
            "each needs 2 or more"
        )
    if not len(sizes):
        return np.zeros((0, wanted, 3))
    first = np.cumsum(sizes) - sizes
    steps = np.zeros(len(rows))
    steps[1:] = np.sqrt(((rows[1:] - rows[:-1]) ** 2).sum(axis=1))
    steps[first] = 0
    along = np.cumsum(steps)
    along -= np.repeat(along[first], sizes)
    total = along[first + sizes - 1]
    if not total.min() > 0:
        raise ValueError("a polyline has length 0; leave it out")
    # All polylines one after the other on one axis, each 1 long and 1 apart: one interpolation.
    place = np.repeat(2.0 * np.arange(len(sizes)), sizes) + along / np.repeat(total, sizes)
    asked = 2.0 * np.arange(len(sizes))[:, None] + np.linspace(0, 1, wanted)
    return np.stack([np.interp(asked, place, rows[:, axis]) for axis in range(3)], axis=-1)


def with_points(strands: Strands, wanted: int) -> Strands:
    """The same strands with P points each, at equal distances; curliness is measured again.

    Strands of length 0 are left out.
    """
    points = strands.points[lengths(strands.points) > 0]
    return strands_from_polylines(
        points.reshape(-1, 3), np.full(len(points), points.shape[1]), wanted
    )


def strands_from_polylines(points: ArrayLike, counts: ArrayLike, wanted: int) -> Strands:
    """Strands of P points at equal distances, with their curliness; see `resampled`."""
    rows = resampled(points, counts, wanted).astype(np.float32)
    return Strands(rows, curliness_of(rows))


def curliness_of(points: ArrayLike) -> NDArray[np.float32]:
    """HairNet's curvature: how far each point lies from its neighbours' middle, twice, in metres.

    The length of ``2 p[i] - p[i-1] - p[i+1]``, 0 at both ends. It depends on the distance of the
    points, which is a strand's length / (P - 1).

    Args:
        points: (S, P, 3) at equal distances.

    Returns:
        (S, P) float32.
    """
    rows = np.asarray(points, np.float64)
    result = np.zeros(rows.shape[:2], np.float32)
    bends = 2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]
    result[:, 1:-1] = np.sqrt((bends**2).sum(axis=2))
    return result
