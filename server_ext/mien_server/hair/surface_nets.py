# SPDX-License-Identifier: Apache-2.0
"""A closed surface between the nodes of a grid that are inside and those that are not.

Naive surface nets (Gibson 1998): one vertex in each cell that has nodes of both kinds, at the mean
of the crossings of its edges, and a quad for each edge of the grid that has an end of either kind.
Where two nodes of a face are inside and lie across from each other, four quads would meet in one
edge; one more node is filled there, so that every edge belongs to two triangles.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

__all__ = ["surface_between"]

_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
_EDGES = [
    (i, j)
    for i, j in itertools.combinations(range(8), 2)
    if np.abs(_CORNERS[i] - _CORNERS[j]).sum() == 1
]
# The four cells round an edge along an axis, counter-clockwise seen from its far end.
_ROUND = ((0, 0), (-1, 0), (-1, -1), (0, -1))


def surface_between(
    field: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The surface about the nodes above a level.

    Args:
        field: (X, Y, Z); none of the outermost nodes may be above the level.
        level: finite.

    Returns:
        (V, 3) vertices in steps of the grid, and (F, 3) triangles, counter-clockwise from outside;
        every edge belongs to two of them, or to none where nothing is above the level.

    Raises:
        ValueError: a node of the border is above the level.
    """
    values = _without_crossings(np.array(field, np.float64), level)
    inside = values > level
    if _border(inside).any():
        raise ValueError("a node on the border of the grid is inside; leave a margin around it")
    cells = np.zeros(tuple(np.array(inside.shape) - 1), np.uint8)
    for corner in _CORNERS:
        cells += inside[_shifted(inside.shape, corner)]
    mixed = np.argwhere((cells > 0) & (cells < 8))
    number = np.full(cells.shape, -1, np.int64)
    number[tuple(mixed.T)] = np.arange(len(mixed))
    vertices = _crossings(values, mixed, level)
    return vertices, _triangles(inside, number, vertices)


def _without_crossings(values: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Fill one node of each face whose inner nodes lie across from each other; in place."""
    just_inside = np.nextafter(level, np.inf) + 1e-6 * max(1.0, abs(level))
    while True:
        filled = False
        for first, second in ((0, 1), (0, 2), (1, 2)):
            inside = values > level
            a, b, c, d = (_face_corner(inside, first, second, i, j) for i, j in _FACE)
            crossed = (a & d & ~b & ~c) | (b & c & ~a & ~d)
            if not crossed.any():
                continue
            place = np.argwhere(crossed)
            corners = np.stack([place + _offset(first, second, i, j) for i, j in _FACE])
            height = values[tuple(np.moveaxis(corners, 2, 0))]
            height[height > level] = -np.inf
            chosen = corners[height.argmax(axis=0), np.arange(len(place))]
            values[tuple(chosen.T)] = just_inside
            filled = True
        if not filled:
            return values


_FACE = ((0, 0), (1, 0), (0, 1), (1, 1))


def _offset(first: int, second: int, i: int, j: int) -> NDArray[np.int64]:
    offset = np.zeros(3, np.int64)
    offset[first], offset[second] = i, j
    return offset


def _face_corner(
    inside: NDArray[np.bool_], first: int, second: int, i: int, j: int
) -> NDArray[np.bool_]:
    part = [slice(None)] * 3
    for axis, step in ((first, i), (second, j)):
        part[axis] = slice(step, inside.shape[axis] - 1 + step)
    return inside[tuple(part)]


def _shifted(shape: tuple[int, ...], corner: NDArray[np.int64]) -> tuple[slice, ...]:
    return tuple(slice(step, size - 1 + step) for size, step in zip(shape, corner, strict=True))


def _border(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    sides = [np.take(inside, [0, -1], axis=axis).reshape(-1) for axis in range(3)]
    return np.concatenate(sides)


def _crossings(
    values: NDArray[np.float64], mixed: NDArray[np.int64], level: float
) -> NDArray[np.float64]:
    """(V, 3) the mean of where the level crosses the edges of each mixed cell."""
    corners = values[tuple(np.moveaxis(mixed[:, None] + _CORNERS, 2, 0))] - level
    total, count = np.zeros((len(mixed), 3)), np.zeros((len(mixed), 1))
    for i, j in _EDGES:
        a, b = corners[:, i], corners[:, j]
        crossed = (a > 0) != (b > 0)
        part = np.where(crossed, a / np.where(crossed, a - b, 1), 0)[:, None]
        total += crossed[:, None] * (_CORNERS[i] + part * (_CORNERS[j] - _CORNERS[i]))
        count += crossed[:, None]
    return mixed + total / count


def _triangles(
    inside: NDArray[np.bool_], number: NDArray[np.int64], vertices: NDArray[np.float64]
) -> NDArray[np.int32]:
    quads = []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        part = [slice(None)] * 3
        part[axis] = slice(0, -1)
        near = inside[tuple(part)]
        part[axis] = slice(1, None)
        far = inside[tuple(part)]
        place = np.argwhere(near != far)
        ring = np.stack([place + _offset(first, second, i, j) for i, j in _ROUND], axis=1)
        quad = number[tuple(np.moveaxis(ring, 2, 0))]
        outward = near[tuple(place.T)]  # from inside to outside along the axis
        quads.append(np.where(outward[:, None], quad, quad[:, ::-1]))
    corners = np.concatenate(quads)
    p = vertices[corners]
    flat = ((p[:, 0] - p[:, 2]) ** 2).sum(axis=1) <= ((p[:, 1] - p[:, 3]) ** 2).sum(axis=1)
    halves = np.where(
        flat[:, None, None],
        corners[:, [[0, 1, 2], [0, 2, 3]]],
        corners[:, [[1, 2, 3], [1, 3, 0]]],
    )
    return halves.reshape(-1, 3).astype(np.int32)
