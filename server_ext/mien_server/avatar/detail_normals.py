# SPDX-License-Identifier: Apache-2.0
"""DECA's displacement of a head's surface as a normal map, for viewers of glTF.

Feng et al. 2021, *Learning an Animatable Detailed 3D Face Model from In-The-Wild Images*, section
4.2: every point moves along its normal by a map over the texture. The normal of the moved surface
is n - grad d, with the gradient along the surface: exact to first order, as long as the
displacement is small beside the radius at which the surface bends (millimetres beside centimetres).
It is written in the tangent frames that go into the file with it
(`mien_server.avatar.formats.corners`), interpolated over each triangle and brought to unit length
again as a viewer does, on the head as it is given: at rest, because the frames turn with the skin.

Letters  S side of the map, s side of the displacement, V vertices, F triangles, N corners. Row 0 is
v = 1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.formats.corners import (
    Corners,
    corner_tangents,
    split_corners,
    unit_normals,
)
from mien_server.avatar.texture.texels import TexelMap
from mien_server.rendering import interpolate

__all__ = ["detail_normal_map"]

Array = NDArray[Any]

# Rise over run; what is steeper is an error of the network or of a layout that is pressed together.
STEEPEST = 2.0


def detail_normal_map(
    displacement: Array,
    vertices: Array,
    texels: TexelMap,
    *,
    mask: Array | None = None,
    strength: float = 1.0,
) -> NDArray[np.uint8]:
    """Make a normal map in glTF's convention: x to the texture's right, y up, z out of the skin.

    Args:
        displacement: (s, s) metres outwards.
        vertices: (V, 3) metres, the head at rest.
        texels: of the head, at the size of the map.
        mask: (S, S) 0..1, what the displacement is multiplied with; None for 1.
        strength: what it is multiplied with everywhere.

    Returns:
        (S, S, 3) uint8 RGB; (128, 128, 255) where the surface stays as it is.

    Raises:
        ValueError: a shape that does not fit, or a displacement that is not finite.
    """
    given = np.asarray(displacement, np.float32)
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(f"displacement has shape {given.shape}; it must be (s, s)")
    if not np.isfinite(given).all():
        raise ValueError("displacement has values that are not finite")
    size, topology = texels.size, texels.topology
    if np.shape(vertices) != (topology.vertex_count, 3):
        raise ValueError(
            f"vertices have shape {np.shape(vertices)}; the topology has {topology.vertex_count} "
            "of 3 coordinates"
        )
    if mask is not None and mask.shape != (size, size):
        raise ValueError(f"mask has shape {mask.shape}; it must be {(size, size)}")
    height = cv2.resize(given, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(strength)
    if mask is not None:
        height *= mask.astype(np.float32)
    slope_u, slope_v = _slopes(texels.padded(height[..., None])[..., 0])
    frame = _frame(vertices, texels)
    along_u, along_v = frame["along_u"], frame["along_v"]
    # Of d by surface coordinates: the inverse of the metric times the derivatives by u and v.
    uu, uv, vv = _dot(along_u, along_u), _dot(along_u, along_v), _dot(along_v, along_v)
    determinant = np.maximum(uu * vv - uv * uv, np.float32(1e-12))
    by_u = (vv * slope_u - uv * slope_v) / determinant
    by_v = (uu * slope_v - uv * slope_u) / determinant
    gradient = along_u * by_u[..., None] + along_v * by_v[..., None]
    steepness = np.sqrt(_dot(gradient, gradient))
    gradient *= (STEEPEST / np.maximum(steepness, STEEPEST))[..., None]
    x, y = -_dot(gradient, frame["tangent"]), -_dot(gradient, frame["bitangent"])
    z = np.ones_like(x)
    normal = np.stack([x, y, z], axis=-1) / np.sqrt(x * x + y * y + 1)[..., None]
    return np.asarray(np.rint((texels.padded(normal) * 0.5 + 0.5) * 255), np.uint8)


def _slopes(height: Array) -> tuple[Array, Array]:
    """Metres that the displacement would rise over the whole width and height of the texture."""
    size = len(height)
    framed = np.pad(height, 1, mode="edge")
    by_u = (framed[1:-1, 2:] - framed[1:-1, :-2]) * np.float32(size / 2)
    by_v = (framed[:-2, 1:-1] - framed[2:, 1:-1]) * np.float32(size / 2)
    return by_u, by_v


def _frame(vertices: Array, texels: TexelMap) -> dict[str, Array]:
    """(S, S, 3) each: a viewer's tangent and bitangent, and the surface along u and along v.

    The latter are means over the triangles at a corner, which would show as facets otherwise, in
    the plane of the normal.
    """
    topology = texels.topology
    points = np.ascontiguousarray(vertices, np.float32)
    corners = split_corners(topology, np.arange(len(topology.faces), dtype=np.int32))
    positions = points[corners.vertices]
    normals = unit_normals(points, topology.faces)[corners.vertices]
    tangents = corner_tangents(positions, normals, corners)
    values = np.concatenate([normals, tangents, _along_texture(positions, corners)], axis=1)
    mixed = interpolate(texels.raster, corners.faces, values)[0]
    normal, tangent = _unit(mixed[..., :3]), _unit(mixed[..., 3:6])
    bitangent = np.cross(normal, tangent) * np.sign(mixed[..., 6:7])
    along_u, along_v = (
        part - normal * _dot(part, normal)[..., None]
        for part in (mixed[..., 7:10], mixed[..., 10:])
    )
    return {"tangent": tangent, "bitangent": bitangent, "along_u": along_u, "along_v": along_v}


def _along_texture(positions: Array, corners: Corners) -> NDArray[np.float32]:
    """(N, 6) metres that the surface runs over the texture's width and over its height.

    Derivatives of the position by u and by v, averaged by the triangles' area in the texture.
    """
    points = positions.astype(np.float64)[corners.faces]
    uv = corners.uv.astype(np.float64)[corners.faces]
    side1, side2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    (u1, v1), (u2, v2) = (uv[:, 1] - uv[:, 0]).T[..., None], (uv[:, 2] - uv[:, 0]).T[..., None]
    area = u1 * v2 - u2 * v1
    # Derivatives times the area, with the sign that makes it positive.
    scaled = np.concatenate([v2 * side1 - v1 * side2, u1 * side2 - u2 * side1], axis=1)
    scaled *= np.sign(area)
    sums, areas = np.zeros((len(positions), 6)), np.zeros((len(positions), 1))
    for corner in range(3):
        np.add.at(sums, corners.faces[:, corner], scaled)
        np.add.at(areas, corners.faces[:, corner], np.abs(area))
    return np.asarray(sums / np.maximum(areas, 1e-12), np.float32)


def _dot(one: Array, other: Array) -> Array:
    product: Array = np.einsum("hwc,hwc->hw", one, other)
    return product


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.sqrt(np.maximum(_dot(vectors, vectors), 1e-12))[..., None]
    return unit
