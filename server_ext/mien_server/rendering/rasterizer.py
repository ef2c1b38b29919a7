# SPDX-License-Identifier: Apache-2.0
"""Which triangle is seen at each pixel centre, where in it, and how far away.

Letters: B meshes of one topology, V vertices, F triangles, H x W pixels.

Image space is DECA's (`decalib/utils/renderer.py`): x and y from -1 to 1 over the whole image, y
down, smaller z nearer, no perspective. The centre of pixel (row j, column i) is at
((2i + 1) / W - 1, (2j + 1) / H - 1).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from mien_server.rendering.kernels import rasterizer as rasterizer_kernels
from mien_server.rendering.warp_runtime import device_array, load_kernels

__all__ = ["Raster", "checked_faces", "checked_vertices", "fill_z_buffer", "rasterize"]

MAX_SIDE_PX = 16384


@dataclass(frozen=True, slots=True)
class Raster:
    """What is seen at each pixel centre.

    Attributes:
        triangle: (B, H, W) int32 row of `faces`, -1 where there is nothing.
        barycentric: (B, H, W, 3) float32 weights of the triangle's three corners, in 0..1 with sum
            1 up to rounding; 0 where there is nothing.
        depth: (B, H, W) float32 z there, infinity where there is nothing.
    """

    triangle: NDArray[np.int32]
    barycentric: NDArray[np.float32]
    depth: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(B, H, W), true where there is a triangle."""
        return self.triangle >= 0


def rasterize(
    vertices: ArrayLike,
    faces: ArrayLike,
    *,
    height: int,
    width: int,
    cull_backfaces: bool = False,
    device: str = "cpu",
) -> Raster:
    """Rasterise a batch of meshes that share their triangles; each mesh makes one image.

    Coverage is exact: a pixel belongs to a triangle if its centre does, and where two triangles
    share an edge, a centre on it belongs to one of them, so closed surfaces have no holes. Vertices
    are taken at the nearest 1/16384 pixel. Of equally near triangles the first in `faces` is seen.
    Triangles of no area or with a vertex that is not finite are left out; parts outside the image
    are cut off. An image does not depend on its neighbours in the batch. Safe to call from several
    threads.

    Args:
        vertices: (B, V, 3) float32 in image space; other types are converted.
        faces: (F, 3) int32 rows of `vertices`, in any winding.
        height: H, 1 to 16384.
        width: W, 1 to 16384.
        cull_backfaces: leave out triangles whose corners do not run counter-clockwise to the eye,
            that is, whose outer side looks away.
        device: Warp's name of the device: "cpu" (one thread) or "cuda:0" and so on.

    Raises:
        ValueError: a shape, a size or an index that is not allowed, or no such device.
    """
    points = checked_vertices(vertices)
    corners = checked_faces(faces, vertex_count=points.shape[1])
    load_kernels(rasterizer_kernels, device)
    vertices_on_device = device_array(points, wp.vec3f, device)
    faces_on_device = device_array(corners, wp.vec3i, device)
    z_buffer = fill_z_buffer(
        vertices_on_device,
        faces_on_device,
        height=height,
        width=width,
        cull_backfaces=cull_backfaces,
        device=device,
    )
    shape = (len(points), height, width)
    triangle = wp.empty(shape, dtype=wp.int32, device=device)
    barycentric = wp.empty(shape, dtype=wp.vec3f, device=device)
    depth = wp.empty(shape, dtype=wp.float32, device=device)
    wp.launch(
        rasterizer_kernels.resolve,
        dim=shape,
        inputs=[vertices_on_device, faces_on_device, z_buffer],
        outputs=[triangle, barycentric, depth],
        device=device,
    )
    return Raster(triangle.numpy(), barycentric.numpy(), depth.numpy())


class _Scratch(threading.local):
    """The z-buffer of a thread's last call, which its next one may have."""

    key: tuple[str, tuple[int, int, int]] | None = None
    z_buffer: Any = None


_scratch = _Scratch()


def fill_z_buffer(
    vertices: Any, faces: Any, *, height: int, width: int, cull_backfaces: bool, device: str
) -> Any:
    """The z-buffer of `kernels.rasterizer`, good until this thread's next call.

    Args:
        vertices: Warp array (B, V) of vec3f on the device, in image space.
        faces: Warp array (F,) of vec3i on the device, all in range.
        height: H.
        width: W.
        cull_backfaces: see `rasterize`.
        device: Warp's name; `kernels.rasterizer` must be loaded for it.

    Returns:
        Warp array (B, H, W) of int64.

    Raises:
        ValueError: height or width is not allowed.
    """
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise ValueError(
            f"image is {height} x {width} pixels; each side must be 1 to {MAX_SIDE_PX}"
        )
    shape = (vertices.shape[0], height, width)
    if _scratch.key != (device, shape):
        _scratch.z_buffer = wp.empty(shape, dtype=wp.int64, device=device)
        _scratch.key = (device, shape)
    z_buffer = _scratch.z_buffer
    z_buffer.fill_(int(rasterizer_kernels.EMPTY))
    wp.launch(
        rasterizer_kernels.cover,
        dim=(vertices.shape[0], faces.shape[0]),
        inputs=[vertices, faces, int(cull_backfaces)],
        outputs=[z_buffer],
        device=device,
    )
    return z_buffer


def checked_vertices(vertices: ArrayLike) -> NDArray[np.float32]:
    """(B, V, 3) float32, C-contiguous; the array itself where it is that already.

    Raises:
        ValueError: another shape.
    """
    points = np.ascontiguousarray(vertices, dtype=np.float32)
    if points.ndim != 3 or points.shape[2] != 3:
        raise ValueError(f"vertices have shape {points.shape}; they must be (B, V, 3)")
    return points


def checked_faces(faces: ArrayLike, *, vertex_count: int) -> NDArray[np.int32]:
    """(F, 3) int32, C-contiguous, every index in range.

    Raises:
        ValueError: another shape, or an index that is out of range.
    """
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    if corners.ndim != 2 or corners.shape[1] != 3:
        raise ValueError(f"faces have shape {corners.shape}; they must be (F, 3)")
    # Negative ones are the largest when read as unsigned: one pass finds both kinds.
    if corners.size and int(corners.view(np.uint32).max()) >= vertex_count:
        raise ValueError(
            f"faces name vertices {corners.min()} to {corners.max()}; there are {vertex_count}, "
            "numbered from 0"
        )
    return corners
