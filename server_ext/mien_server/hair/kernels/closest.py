# SPDX-License-Identifier: Apache-2.0
# mypy: ignore-errors
"""Kernels of closest points, on a mesh or among others, Warp's language in Python's syntax."""

from __future__ import annotations

import warp as wp

__all__ = ["closest", "closest_signed", "nearest"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def closest(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3f),  # (N)
    reach: wp.float32,  # farther surfaces are not looked for
    found: wp.array(dtype=wp.vec3f),  # (N), written
    face: wp.array(dtype=wp.int32),  # (N), written; -1 where nothing is within reach
    weights: wp.array(dtype=wp.vec3f),  # (N), written
) -> None:
    """Closest point of the surface. Launch: (N)."""
    index = wp.tid()
    query = wp.mesh_query_point_no_sign(mesh, points[index], reach)
    if query.result:
        found[index] = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        face[index] = query.face
        weights[index] = wp.vec3f(query.u, query.v, 1.0 - query.u - query.v)
    else:
        found[index] = points[index]
        face[index] = -1
        weights[index] = wp.vec3f(0.0, 0.0, 0.0)


@wp.kernel
def closest_signed(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3f),  # (N)
    reach: wp.float32,
    found: wp.array(dtype=wp.vec3f),  # (N), written
    height: wp.array(dtype=wp.float32),  # (N), written; infinite where nothing is within reach
) -> None:
    """Closest point of the surface, and the distance to it, negative inside. Launch: (N)."""
    index = wp.tid()
    query = wp.mesh_query_point_sign_normal(mesh, points[index], reach)
    if query.result:
        surface = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        found[index] = surface
        height[index] = query.sign * wp.length(points[index] - surface)
    else:
        found[index] = points[index]
        height[index] = wp.inf


@wp.kernel
def nearest(
    grid: wp.uint64,  # a hash grid of `points`
    points: wp.array(dtype=wp.vec3f),  # (M)
    queries: wp.array(dtype=wp.vec3f),  # (N)
    reach: wp.float32,
    found: wp.array(dtype=wp.int32),  # (N), written; -1 where none is within reach
) -> None:
    """Row of the nearest point, of equally near ones the first. Launch: (N)."""
    index = wp.tid()
    query = queries[index]
    least = reach * reach
    best = wp.int32(-1)  # a variable, not a constant: the loop changes it
    for other in wp.hash_grid_query(grid, query, reach):
        square = wp.length_sq(points[other] - query)
        if square < least or (square == least and other < best):
            least = square
            best = other
    found[index] = best
