# SPDX-License-Identifier: Apache-2.0
"""Values given at the corners of triangles, mixed at each pixel of a raster."""

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from mien_server.rendering.kernels import interpolation as interpolation_kernels
from mien_server.rendering.rasterizer import Raster, checked_faces
from mien_server.rendering.warp_runtime import device_array, load_kernels

__all__ = ["interpolate"]


def interpolate(
    raster: Raster, corners: ArrayLike, attributes: ArrayLike, *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Mix attributes by the barycentric coordinates, without perspective.

    Args:
        raster: B images of H x W pixels.
        corners: (F, 3) int32 rows of `attributes` for each triangle of the raster: `faces` for
            attributes of vertices, `uv_faces` for texture coordinates.
        attributes: (N, C) float32 shared by all images, or (B, N, C).
        device: Warp's name, such as "cpu" or "cuda:0".

    Returns:
        (B, H, W, C) float32, 0 where there is no triangle.

    Raises:
        ValueError: a shape or an index that is not allowed, or no such device.
    """
    values = np.ascontiguousarray(attributes, dtype=np.float32)
    if values.ndim == 2:
        values = values[None]
    count = len(raster.triangle)
    if values.ndim != 3 or len(values) not in (1, count):
        raise ValueError(
            f"attributes have shape {np.shape(attributes)}; they must be (N, C) or ({count}, N, C)"
        )
    indices = checked_faces(corners, vertex_count=values.shape[1])
    if raster.triangle.size and int(raster.triangle.max()) >= len(indices):
        raise ValueError(
            f"the raster shows triangle {raster.triangle.max()}; corners has {len(indices)} rows. "
            "They must belong to the same mesh"
        )
    load_kernels(interpolation_kernels, device)
    result = wp.empty((*raster.triangle.shape, values.shape[2]), dtype=wp.float32, device=device)
    wp.launch(
        interpolation_kernels.blend,
        dim=raster.triangle.shape,
        inputs=[
            device_array(raster.triangle, wp.int32, device),
            device_array(raster.barycentric, wp.vec3f, device),
            device_array(indices, wp.vec3i, device),
            device_array(values, wp.float32, device),
        ],
        outputs=[result],
        device=device,
    )
    mixed: NDArray[np.float32] = result.numpy()
    return mixed
