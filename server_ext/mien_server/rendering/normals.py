# SPDX-License-Identifier: Apache-2.0
"""Vertex normals, weighted by area (DECA's `decalib/utils/util.py`, `vertex_normals`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from mien_server.rendering.kernels import normals as normals_kernels
from mien_server.rendering.rasterizer import checked_faces, checked_vertices
from mien_server.rendering.warp_runtime import device_array, load_kernels

__all__ = ["normals_on_device", "vertex_normals"]


def vertex_normals(
    vertices: ArrayLike, faces: ArrayLike, *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Unit normals of the vertices of a batch of meshes that share their triangles.

    Each triangle adds the cross product of its edges, twice its area long, to its three corners;
    the sum is divided by its length, or by 1e-6 where it is shorter. In a y-up, right-handed space
    normals point to where the corners run counter-clockwise. On a GPU the order of the sum, and so
    the last bits, may differ between calls.

    Args:
        vertices: (B, V, 3) float32; other types are converted.
        faces: (F, 3) int32 rows of `vertices`.
        device: Warp's name, such as "cpu" or "cuda:0".

    Returns:
        (B, V, 3) float32; shorter than 1 only at vertices without area around them.

    Raises:
        ValueError: a shape or an index that is not allowed, or no such device.
    """
    points = checked_vertices(vertices)
    corners = checked_faces(faces, vertex_count=points.shape[1])
    load_kernels(normals_kernels, device)
    normals = normals_on_device(
        device_array(points, wp.vec3f, device), device_array(corners, wp.vec3i, device), device
    )
    result: NDArray[np.float32] = normals.numpy()
    return result


def normals_on_device(vertices: Any, faces: Any, device: str) -> Any:
    """`vertex_normals` of Warp arrays (B, V) of vec3f and (F,) of vec3i, indices in range.

    `kernels.normals` must be loaded for the device.
    """
    normals = wp.zeros(vertices.shape, dtype=wp.vec3f, device=device)
    wp.launch(
        normals_kernels.accumulate,
        dim=(vertices.shape[0], faces.shape[0]),
        inputs=[vertices, faces],
        outputs=[normals],
        device=device,
    )
    wp.launch(normals_kernels.normalize, dim=normals.shape, outputs=[normals], device=device)
    return normals
