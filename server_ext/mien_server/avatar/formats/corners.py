# SPDX-License-Identifier: Apache-2.0
"""Vertices as graphics hardware wants them: with one texture coordinate, normal and tangent each.

Where a seam of the texture runs through a vertex, it becomes two corners. Letters: V vertices of
the mesh, N corners, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.rendering import Topology, vertex_normals

__all__ = ["Corners", "corner_tangents", "split_corners", "unit_normals"]

SHORTEST = 1e-20


@dataclass(frozen=True, slots=True, eq=False)
class Corners:
    """Corners of some triangles of a mesh.

    Attributes:
        vertices: (N,) int32 the vertex that each one belongs to, growing.
        uv: (N, 2) float32 v up.
        faces: (F, 3) int32 rows of the corners.
    """

    vertices: NDArray[np.int32]
    uv: NDArray[np.float32]
    faces: NDArray[np.int32]


def split_corners(topology: Topology, triangles: NDArray[np.int32]) -> Corners:
    """The corners of some triangles, each pair of vertex and texture coordinate once.

    Triangles whose image is mirrored in the texture get corners of their own, because a tangent
    has a handedness.

    Args:
        topology: of the whole mesh.
        triangles: rows of its faces.
    """
    vertices, uv_rows = topology.faces[triangles], topology.uv_faces[triangles]
    mirrored = _uv_areas(topology.uv[uv_rows]) < 0
    pairs = vertices.astype(np.int64) * len(topology.uv) + uv_rows
    keys, inverse = np.unique(pairs * 2 + mirrored[:, None], return_inverse=True)
    vertex, uv_row = np.divmod(keys // 2, len(topology.uv))
    return Corners(
        vertex.astype(np.int32),
        topology.uv[uv_row],
        inverse.reshape(vertices.shape).astype(np.int32),
    )


def unit_normals(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    given: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """(V, 3) normals of length 1, those given or else weighted by area.

    A vertex without area around it gets +z, the direction of the face.
    """
    normals = vertex_normals(vertices[None], faces)[0] if given is None else given
    return _unit(normals, np.array([0, 0, 1], np.float32))


def corner_tangents(
    positions: NDArray[np.float32], normals: NDArray[np.float32], corners: Corners
) -> NDArray[np.float32]:
    """(N, 4) float32 tangents as glTF wants them: along growing u, and the bitangent's sign.

    The derivative of the position by u, summed over the triangles round a corner by their area in
    space, less its part along the normal. The bitangent cross(normal, tangent) * w then points to
    growing v, up in the image. Where the texture has no area it is any direction in the surface.

    Args:
        positions: (N, 3) of the corners.
        normals: (N, 3) unit length.
        corners: N of them.
    """
    points, uv = positions[corners.faces], corners.uv[corners.faces]
    edges, uv_edges = points[:, 1:] - points[:, :1], uv[:, 1:] - uv[:, :1]
    area = _uv_areas(uv)
    along_u = edges[:, 0] * uv_edges[:, 1, 1:] - edges[:, 1] * uv_edges[:, 0, 1:]
    along_u *= np.sign(area)[:, None]
    space = _lengths(np.cross(edges[:, 0], edges[:, 1]))
    summed = np.zeros_like(positions, dtype=np.float64)
    length = _lengths(along_u)
    directions = along_u / np.maximum(length, SHORTEST) * space
    for axis in range(3):
        summed[:, axis] = np.bincount(
            corners.faces.ravel(), np.repeat(directions[:, axis], 3), len(positions)
        )
    flat = summed - _dots(summed, normals) * normals
    # The axis that the normal is farthest from always leaves something in the surface.
    other = np.eye(3)[np.abs(normals).argmin(axis=1)]
    other -= _dots(other, normals) * normals
    lost = _lengths(flat) < 1e-6 * space.max(initial=0)
    sign = np.ones(len(positions))
    sign[corners.faces[area < 0]] = -1
    return np.column_stack([_unit(np.where(lost, other, flat), other), sign]).astype(np.float32)


def _uv_areas(uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F,) twice the area of triangles (F, 3, 2) in the texture; negative where mirrored."""
    first, second = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    areas: NDArray[np.float32] = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return areas


def _dots(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """(N, 1) scalar products of rows."""
    products: NDArray[Any] = np.einsum("ij,ij->i", first, second)[:, None]
    return products


def _lengths(vectors: NDArray[Any]) -> NDArray[Any]:
    """(N, 1)."""
    lengths: NDArray[Any] = np.sqrt(_dots(vectors, vectors))
    return lengths


def _unit(vectors: NDArray[Any], instead: NDArray[Any]) -> NDArray[np.float32]:
    wide = vectors.astype(np.float64)
    length = _lengths(wide)
    if length.min(initial=1) <= SHORTEST:
        wide = np.where(length > SHORTEST, wide, instead)
        length = _lengths(wide)
    unit: NDArray[np.float32] = (wide / length).astype(np.float32)
    return unit
