# SPDX-License-Identifier: Apache-2.0
"""How far a point is from the skin: a signed distance on a lattice, for many quick look-ups.

Letters  N points, V vertices, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

__all__ = ["DistanceField", "distance_field"]

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_LOW = np.array([-0.26, -0.52, -0.32])
_HIGH = np.array([0.26, 0.32, 0.28])
_STEP_M = 0.005
_SAMPLE_M = 0.003  # distance of the points that stand for the surface
_MOST_PARTS = 10  # of an edge: large triangles are flat
_BAND_M = 0.009  # measured exactly; beyond it to about a millimetre


@dataclass(frozen=True, slots=True, eq=False)
class DistanceField:
    """Signed distance, metres, positive outside, and the way out, on a lattice.

    Attributes:
        low: (3,) the lattice's first point.
        step: metres between neighbours.
        table: (X, Y, Z, 4) float32 distance, then its gradient.
    """

    low: Array
    step: float
    table: Floats

    def at(self, points: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Distance (N,) and unit way out (N, 3) at points (N, 3), trilinear; clamped outside."""
        sizes = np.array(self.table.shape[:3])
        place = (np.asarray(points, np.float32) - self.low.astype(np.float32)) / np.float32(
            self.step
        )
        place = np.clip(place, 0, (sizes - 1.001).astype(np.float32))
        base = place.astype(np.int32)
        part = place - base
        rows = self.table.reshape(-1, 4)
        strides = np.array([sizes[1] * sizes[2], sizes[2], 1])
        first = base @ strides
        x, y, z = (part[:, axis : axis + 1] for axis in range(3))
        across, up = strides[0], strides[1]

        def along_z(start: npt.NDArray[np.int64]) -> Floats:
            near = rows[start]
            return np.asarray(near + z * (rows[start + 1] - near))

        def along_yz(start: npt.NDArray[np.int64]) -> Floats:
            near = along_z(start)
            return np.asarray(near + y * (along_z(start + up) - near))

        near = along_yz(first)
        mixed = near + x * (along_yz(first + across) - near)
        way = mixed[:, 1:]
        length = np.sqrt((way * way).sum(axis=1, keepdims=True))
        return mixed[:, 0], way / np.maximum(length, np.float32(1e-6))


def distance_field(vertices: npt.ArrayLike, faces: npt.ArrayLike) -> DistanceField:
    """The field about a surface that mirrors itself at x = 0; takes a second or two.

    Both halves are averaged, so that the field mirrors itself exactly.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) the outer surface only, counter-clockwise from outside; it may be open below.
    """
    points, normals = _samples(np.asarray(vertices, np.float64), np.asarray(faces))
    counts = np.round((_HIGH - _LOW) / _STEP_M).astype(int) + 1
    nodes = _lattice(counts)
    distance = _rough(nodes, points, normals)
    near = np.abs(distance) < _BAND_M
    exact = _exact(nodes[near], points, normals)
    distance = ndimage.gaussian_filter(distance, 1.0)  # or hair far out would show the lattice
    share = np.clip(3 - 3 * np.abs(exact) / _BAND_M, 0, 1)
    distance[near] += share * (exact - distance[near])
    distance = (distance + distance[::-1]) / 2
    gradient = np.stack(np.gradient(distance, _STEP_M), axis=-1)
    table = np.concatenate([distance[..., None], gradient], axis=-1).astype(np.float32)
    return DistanceField(_LOW, _STEP_M, table)


def _lattice(counts: npt.NDArray[np.int64]) -> Array:
    places = [low + _STEP_M * np.arange(count) for low, count in zip(_LOW, counts, strict=True)]
    return np.stack(np.meshgrid(*places, indexing="ij"), axis=-1)


def _rough(nodes: Array, points: Array, normals: Array) -> Array:
    """Distance of the nodes (X, Y, Z, 3) from one sample of each cell that the surface passes."""
    sizes = np.array(nodes.shape[:3])
    cells = np.round((points - _LOW) / _STEP_M).astype(int)
    inside = ((cells >= 0) & (cells < sizes)).all(axis=1)
    sample = np.full(sizes, -1)
    sample[tuple(cells[inside].T)] = np.flatnonzero(inside)
    nearest = ndimage.distance_transform_edt(
        sample < 0, return_distances=False, return_indices=True
    )
    chosen = sample[tuple(nearest)]
    away = nodes - points[chosen]
    outside = np.einsum("xyzc,xyzc->xyz", away, normals[chosen]) >= 0
    squares = np.einsum("xyzc,xyzc->xyz", away, away)
    return np.asarray(np.where(outside, 1, -1) * np.sqrt(squares))


def _exact(nodes: Array, points: Array, normals: Array) -> Array:
    """Distance of the nodes (N, 3), all near the surface, from its samples."""
    span, nearest = cKDTree(points).query(nodes)
    height = ((nodes - points[nearest]) * normals[nearest]).sum(axis=1)
    # Between samples, what lies sideways is only the distance to the next sample.
    sideways = np.maximum(span**2 - height**2 - (0.75 * _SAMPLE_M) ** 2, 0)
    return np.asarray(np.where(height < 0, -1, 1) * np.sqrt(height**2 + sideways))


def _samples(vertices: Array, faces: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Points all over the triangles, and the smooth normals there."""
    corners = vertices[faces]
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], areas)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.minimum(np.ceil(edges / _SAMPLE_M).astype(int) + 1, _MOST_PARTS)
    places, ways = [], []
    for part in np.unique(parts):
        steps = np.arange(part + 1) / part
        u, v = (grid.ravel() for grid in np.meshgrid(steps, steps))
        kept = u + v <= 1 + 1e-9
        weights = np.stack([1 - u - v, u, v], axis=1)[kept]
        chosen = faces[parts == part]
        places.append(np.einsum("wc,fcd->fwd", weights, vertices[chosen]).reshape(-1, 3))
        ways.append(np.einsum("wc,fcd->fwd", weights, normals[chosen]).reshape(-1, 3))
    way = np.concatenate(ways)
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    return np.concatenate(places), way
