# SPDX-License-Identifier: Apache-2.0
"""Kernels of vertex normals: one source for CPU and CUDA."""

from __future__ import annotations

import warp as wp

__all__ = ["accumulate", "normalize"]

wp.set_module_options({"enable_backward": False})

MIN_LENGTH = wp.constant(1e-6)  # DECA's eps


@wp.kernel
def accumulate(
    vertices: wp.array2d(dtype=wp.vec3f),  # (B, V)
    faces: wp.array(dtype=wp.vec3i),  # (F)
    normals: wp.array2d(dtype=wp.vec3f),  # (B, V), added to
) -> None:
    """Add the cross product of a triangle's edges to its three corners. Launch: (B, F)."""
    mesh, index = wp.tid()
    face = faces[index]
    a = vertices[mesh, face[0]]
    normal = wp.cross(vertices[mesh, face[1]] - a, vertices[mesh, face[2]] - a)
    wp.atomic_add(normals, mesh, face[0], normal)
    wp.atomic_add(normals, mesh, face[1], normal)
    wp.atomic_add(normals, mesh, face[2], normal)


@wp.kernel
def normalize(normals: wp.array2d(dtype=wp.vec3f)) -> None:
    """Divide by the length, or by MIN_LENGTH where that is larger. Launch: (B, V)."""
    mesh, vertex = wp.tid()
    normal = normals[mesh, vertex]
    normals[mesh, vertex] = normal / wp.max(wp.length(normal), MIN_LENGTH)
