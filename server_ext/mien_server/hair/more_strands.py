# SPDX-License-Identifier: Apache-2.0
"""More strands between the given ones, as many as a head has to show.

A new strand goes beside a given one, its guide, and is blended from it and its nearest neighbours
that run the same way and stay beside it, so that none hangs in the air across a parting. Only the
smooth course of neighbours is blended; waves and curls are the guide's own, because the mean of two
curls out of step is no curl.

Letters: S given strands, N new ones, P points, K neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.polylines import curliness_of
from mien_server.hair.strands import Strands

__all__ = ["more_strands", "nearest_strands", "smooth_course"]

_SAME_WAY = 0.5  # cosine between the ways of two strands that may be blended
# They may also be no farther apart anywhere than so many times as at their roots, and so much.
_SPREAD, _SPREAD_M = 2.0, 0.012
_COURSE = 0.12  # of the length: over how much of it waves are averaged out
_JITTER = 0.35  # of the distance to the nearest neighbour, sideways


def more_strands(
    strands: Strands,
    count: int,
    *,
    seed: int = 0,
    neighbours: NDArray[np.intp] | None = None,
) -> Strands:
    """Strands and new ones between them, N together.

    Args:
        strands: S guides, which come first in the result as they are.
        count: N; no more than S: that many of the guides, spread evenly.
        seed: of places and blends; the same seed gives the same strands.
        neighbours: (S, K) `nearest_strands` of the hairstyle, to be kept between calls; None:
            looked for.

    Raises:
        ValueError: a count below 1, or no guides.
    """
    if count < 1 or not len(strands):
        raise ValueError(f"{count} strands of {len(strands)}; both must be 1 or more")
    size = len(strands)
    if count <= size:
        kept = np.arange(count) * size // count
        return Strands(strands.points[kept], strands.curliness[kept])
    generator = np.random.default_rng(seed)
    fresh = count - size
    guide = np.concatenate([generator.permutation(size) for _ in range(-(-fresh // size))])[:fresh]
    if neighbours is None:
        neighbours = nearest_strands(strands)
    weights = generator.dirichlet(np.ones(neighbours.shape[1] + 1), fresh).astype(np.float32)
    weights[:, 1:] *= _run_alike(strands, neighbours)[guide]
    weights[:, 0] = 1 - weights[:, 1:].sum(axis=1)
    course = smooth_course(strands.points)
    blended = weights[:, 0, None, None] * course[guide]
    for k in range(neighbours.shape[1]):
        blended += weights[:, 1 + k, None, None] * course[neighbours[guide, k]]
    blended += (strands.points - course)[guide]
    blended += _sideways(strands, neighbours, guide, generator)
    points = np.concatenate([strands.points, blended])
    return Strands(points, curliness_of(points))


def nearest_strands(strands: Strands, wanted: int = 6) -> NDArray[np.intp]:
    """(S, K) the strands whose roots lie nearest to each one's, nearest first, without itself.

    K is as many as wanted, or S - 1.
    """
    roots = strands.roots
    wanted = max(min(wanted, len(roots) - 1), 0)
    found = np.empty((len(roots), wanted), np.intp)
    if wanted < 1:
        return found
    squares = (roots**2).sum(axis=1)
    for start in range(0, len(roots), 1024):
        rows = roots[start : start + 1024]
        gaps = squares - 2 * rows @ roots.T
        gaps[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        near = np.argpartition(gaps, wanted - 1, axis=1)[:, :wanted]
        order = np.take_along_axis(gaps, near, axis=1).argsort(axis=1, kind="stable")
        found[start : start + 1024] = np.take_along_axis(near, order, axis=1)
    return found


def smooth_course(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, P, 3) the strands without their waves; both ends stay.

    A moving average over an eighth of the length, mirrored through the ends.
    """
    count = points.shape[1]
    half = max(1, round(_COURSE * count / 2))
    if count <= 2 * half:
        return points.copy()
    head = 2 * points[:, :1] - points[:, half:0:-1]
    tail = 2 * points[:, -1:] - points[:, -2 : -half - 2 : -1]
    total = np.cumsum(np.concatenate([head, points, tail], axis=1), axis=1, dtype=np.float64)
    total = np.concatenate([np.zeros_like(total[:, :1]), total], axis=1)
    width = 2 * half + 1
    return ((total[:, width:] - total[:, :-width]) / width).astype(np.float32)


def _run_alike(strands: Strands, neighbours: NDArray[np.intp]) -> NDArray[np.float32]:
    """(S, K) 1 where two strands run the same way and stay together, else 0."""
    stations = strands.points[:, np.linspace(0, strands.points.shape[1] - 1, 7).round().astype(int)]
    gaps = np.linalg.norm(stations[neighbours] - stations[:, None], axis=3)
    alike = gaps.max(axis=2) <= _SPREAD * gaps[..., 0] + _SPREAD_M
    for start, end in ((0, 3), (3, 6)):
        way = stations[:, end] - stations[:, start]
        way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
        alike &= (way[neighbours] * way[:, None]).sum(axis=2) > _SAME_WAY
    shares: NDArray[np.float32] = alike.astype(np.float32)
    return shares


def _sideways(
    strands: Strands,
    neighbours: NDArray[np.intp],
    guide: NDArray[np.intp],
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """(N, 1, 3) steps along the scalp, across the directions in which strands leave it."""
    step = generator.normal(size=(len(guide), 3))
    if not neighbours.shape[1]:
        return np.zeros((len(guide), 1, 3), np.float32)
    gap = np.linalg.norm(strands.roots[neighbours[:, 0]] - strands.roots, axis=1)[guide]
    leaving = strands.roots - strands.roots.mean(axis=0)
    leaving = leaving / np.maximum(np.linalg.norm(leaving, axis=1, keepdims=True), 1e-9)
    step -= (step * leaving[guide]).sum(axis=1, keepdims=True) * leaving[guide]
    return np.asarray((step * (_JITTER * gap)[:, None])[:, None], np.float32)
