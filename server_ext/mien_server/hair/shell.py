# SPDX-License-Identifier: Apache-2.0
"""Hair as one closed mesh: the volume that strands fill, for programs that draw no transparency.

Strands are entered into a grid, blurred and cut at a level (`surface_nets`), with the skull below
the hair filled up, so that there is an outside alone. The step of the grid follows from the number
of triangles that are allowed. A coarse grid makes hair fat; so the surface is drawn in to the
strands again.

Letters: S strands, V vertices, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.closest_points import nearest_points
from mien_server.hair.crown_map import draw_crown_map
from mien_server.hair.head import Head
from mien_server.hair.mesh_parts import averaged, smoothed, solid_parts
from mien_server.hair.more_strands import more_strands
from mien_server.hair.polylines import lengths, resampled
from mien_server.hair.strands import Strands
from mien_server.hair.surface import HairSurface
from mien_server.hair.surface_nets import surface_between
from mien_server.rendering.normals import vertex_normals

__all__ = ["hair_shell"]

_LEVEL, _BLUR = 0.28, 0.9  # of a full grid; steps
_MARGIN = 5  # nodes around everything
_STRANDS = 4000  # that are entered, so that there are no gaps
_FIRST_STEP_M, _FINEST_STEP_M = 0.012, 0.002
_LEAST_TRIANGLES, _ATTEMPTS, _USED = 1_000, 16, 0.85
_SMALLEST_PART = 0.02  # of the largest one's volume
# Strands that grow side by side lie in locks, of a tone and a thickness.
_LOCKS, _TONES, _THICKNESS_M = 160, (0.86, 1.12), (0.001, 0.004)

_EMPTY = np.zeros((0, 3), np.float32)
_NOTHING = HairSurface(_EMPTY, _EMPTY, _EMPTY.astype(np.int32), None, _EMPTY)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Nodes at `low` + index * `step`."""

    low: NDArray[np.float64]
    step: float
    shape: tuple[int, int, int]

    def flat(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) number of the node that is nearest to each point."""
        index = np.rint((points - self.low) / self.step).astype(np.int64)
        index = np.clip(index, 0, np.array(self.shape) - 1)
        return np.asarray(np.ravel_multi_index(tuple(index.T), self.shape))


def hair_shell(
    strands: Strands,
    max_triangles: int,
    *,
    head: Head | None = None,
    colour: ArrayLike = (1.0, 1.0, 1.0),
    seed: int = 0,
) -> HairSurface:
    """The closed surface about all strands but single ones that stand off.

    Args:
        strands: S 1 or more.
        max_triangles: 1,000 or more.
        head: that they are on, whose skull is filled up; None: the shell is hollow where the head
            is, and has an inner side.
        colour: (3,) RGB in 0..1 of the hair; each strand is a little lighter or darker.
        seed: of tones.

    Returns:
        At most so many triangles, usually nine tenths of them, watertight, without uv. No triangle
        where strands are too few to fill anything.

    Raises:
        ValueError: no strands, or too few triangles.
    """
    if not len(strands) or max_triangles < _LEAST_TRIANGLES:
        raise ValueError(
            f"{len(strands)} strands and {max_triangles} triangles came; it takes a strand and "
            f"{_LEAST_TRIANGLES} triangles"
        )
    if not lengths(strands.points).any():
        return _NOTHING
    dense = more_strands(strands, max(_STRANDS, len(strands)), seed=seed)
    step = _FIRST_STEP_M
    for attempt in range(_ATTEMPTS):
        points, strand = _sampled(dense, step)
        vertices, faces = _solid(points, _grid_about(points, head, step), head)
        share = len(faces) / max_triangles
        finest = step <= _FINEST_STEP_M and share < 1
        if _USED <= share <= 1 or not share or finest:
            break
        # Triangles grow as the square of 1 / step. Late on, anything that is few enough will do.
        aim = (1 + _USED) / 2 if attempt < _ATTEMPTS // 2 else _USED
        if attempt >= _ATTEMPTS // 2 and share <= 1:
            break
        step = max(step * float(np.sqrt(share / aim)), _FINEST_STEP_M)
    lock = _locks(dense, np.random.default_rng(seed))
    return _fitted(vertices, faces, points, lock[strand], step, np.asarray(colour, np.float64))


def _sampled(strands: Strands, step: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points along strands, no farther apart than half a step, and which strand each is of."""
    reach = lengths(strands.points)
    moving = np.flatnonzero(reach > 0)
    rows = strands.points[moving]
    count = max(2, int(np.ceil(2 * reach.max(initial=0) / step)) + 1)
    points = resampled(rows.reshape(-1, 3), np.full(len(rows), rows.shape[1]), count)
    return points.reshape(-1, 3), np.repeat(moving, count)


def _locks(strands: Strands, generator: np.random.Generator) -> NDArray[np.float64]:
    """(S, 2) tone and thickness in metres, alike in strands that grow side by side."""
    middles = strands.roots[generator.permutation(len(strands))[:_LOCKS]]
    gaps = ((strands.roots[:, None] - middles) ** 2).sum(axis=2)
    of_lock = np.column_stack(
        [generator.uniform(*_TONES, len(middles)), generator.uniform(*_THICKNESS_M, len(middles))]
    )
    return np.asarray(of_lock[gaps.argmin(axis=1)])


def _grid_about(points: NDArray[np.float64], head: Head | None, step: float) -> _Grid:
    low, high = points.min(axis=0), points.max(axis=0)
    if head is not None:
        scalp = head.vertices[head.scalp]
        low, high = np.minimum(low, scalp.min(axis=0)), np.maximum(high, scalp.max(axis=0))
    shape = np.ceil((high - low) / step).astype(int) + 1 + 2 * _MARGIN
    return _Grid(low - _MARGIN * step, step, (int(shape[0]), int(shape[1]), int(shape[2])))


def _solid(
    points: NDArray[np.float64], grid: _Grid, head: Head | None
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    filled = np.zeros(grid.shape, np.float32)
    filled.reshape(-1)[grid.flat(points)] = 1
    if head is not None:
        filled[_skull(grid, head)] = 1
    vertices, faces = surface_between(_blurred(filled).astype(np.float64), _LEVEL)
    if not len(faces):
        return vertices, faces
    vertices, faces = solid_parts(vertices, faces, smallest=_SMALLEST_PART)
    return grid.low + grid.step * smoothed(vertices, faces), faces


def _skull(grid: _Grid, head: Head) -> NDArray[np.bool_]:
    """Nodes below the scalp by so much that the blurred surface does not reach through it."""
    index = np.indices(grid.shape).reshape(3, -1).T
    nodes = (grid.low + grid.step * index).astype(np.float32)
    far, reach = draw_crown_map(head, head.scalp_faces).at(nodes)
    deep = far < reach - (1.3 * grid.step + 0.002)
    return deep.reshape(grid.shape)


def _blurred(filled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian of `_BLUR` steps along all three axes."""
    kernel = cv2.getGaussianKernel(2 * 3 + 1, _BLUR, cv2.CV_32F)
    one = np.ones(1, np.float32)
    for axis in range(3):
        last = np.ascontiguousarray(np.moveaxis(filled, axis, 2))
        rows = cv2.sepFilter2D(
            last.reshape(-1, last.shape[2]), -1, kernel, one, borderType=cv2.BORDER_CONSTANT
        )
        filled = np.moveaxis(rows.reshape(last.shape), 2, axis)
    return filled


def _fitted(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    points: NDArray[np.float64],
    locks: NDArray[np.float64],
    step: float,
    colour: NDArray[np.float64],
) -> HairSurface:
    """The surface drawn in to the strands, as far as the grid left it off them, and coloured."""
    places = vertices.astype(np.float32)
    if not len(faces):
        return _NOTHING
    near = nearest_points(places, points, reach=2.5 * step)
    gap = np.linalg.norm(vertices - points[near], axis=1)
    tone, thickness = locks[near].T
    # Below the skull there are no strands.
    none = near < 0
    inward = np.where(none, 0, np.maximum(gap - thickness, 0))[:, None]
    tone = np.where(none, _TONES[0], tone)[:, None]
    for _ in range(2):
        inward = (inward + averaged(inward, faces)) / 2
    normals = vertex_normals(places[None], faces)[0]
    places = smoothed(vertices - inward * normals, faces).astype(np.float32)
    colours = np.clip((tone + averaged(tone, faces)) / 2 * colour, 0, 1)
    normals = vertex_normals(places[None], faces)[0]
    return HairSurface(places, normals, faces, None, colours.astype(np.float32))
