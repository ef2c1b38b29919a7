# SPDX-License-Identifier: Apache-2.0
"""Kernels that shade what the z-buffer shows: one source for CPU and CUDA."""

from __future__ import annotations

import warp as wp

from mien_server.rendering.kernels.rasterizer import EMPTY, corner_weights, triangle_of
from mien_server.rendering.lighting import SH_CONSTANTS

__all__ = ["shade_rgba", "shade_style"]

wp.set_module_options({"enable_backward": False})

C0 = wp.constant(SH_CONSTANTS[0])
C1 = wp.constant(SH_CONSTANTS[1])  # of x, y, z
C2 = wp.constant(SH_CONSTANTS[4])  # of xy, xz, yz
C3 = wp.constant(SH_CONSTANTS[7])
C4 = wp.constant(SH_CONSTANTS[8])


@wp.struct
class Heads:
    """B heads of one topology, with their texture and light."""

    projected: wp.array2d(dtype=wp.vec3f)  # (B, V) image space
    normals: wp.array2d(dtype=wp.vec3f)  # (B, V) world space
    faces: wp.array(dtype=wp.vec3i)  # (F)
    uv: wp.array(dtype=wp.vec2f)  # (T)
    uv_faces: wp.array(dtype=wp.vec3i)  # (F)
    albedo: wp.array4d(dtype=wp.float32)  # (B, 3, texture height, texture width)
    light: wp.array2d(dtype=wp.vec3f)  # (B, 9)


@wp.func
def shading(normal: wp.vec3f, light: wp.array2d(dtype=wp.vec3f), image: wp.int32) -> wp.vec3f:
    """Light on a surface; `mien_server.rendering.lighting` for one pixel."""
    x = normal[0]
    y = normal[1]
    z = normal[2]
    return (
        C0 * light[image, 0]
        + C1 * (x * light[image, 1] + y * light[image, 2] + z * light[image, 3])
        + C2 * (x * y * light[image, 4] + x * z * light[image, 5] + y * z * light[image, 6])
        + C3 * (x * x - y * y) * light[image, 7]
        + C4 * (3.0 * z * z - 1.0) * light[image, 8]
    )


@wp.func
def texel(
    albedo: wp.array4d(dtype=wp.float32), image: wp.int32, row: wp.int32, column: wp.int32
) -> wp.vec3f:
    """A texel, black outside the texture."""
    if row < 0 or column < 0 or row >= albedo.shape[2] or column >= albedo.shape[3]:
        return wp.vec3f(0.0, 0.0, 0.0)
    return wp.vec3f(
        albedo[image, 0, row, column], albedo[image, 1, row, column], albedo[image, 2, row, column]
    )


@wp.func
def bilinear(albedo: wp.array4d(dtype=wp.float32), image: wp.int32, uv: wp.vec2f) -> wp.vec3f:
    """The texture at (u, v): v up, texel centres at half steps (align_corners is off)."""
    x = uv[0] * wp.float32(albedo.shape[3]) - 0.5
    y = (1.0 - uv[1]) * wp.float32(albedo.shape[2]) - 0.5
    left = wp.floor(x)
    top = wp.floor(y)
    right_share = x - left
    bottom_share = y - top
    column = wp.int32(left)
    row = wp.int32(top)
    upper = (1.0 - right_share) * texel(albedo, image, row, column)
    upper += right_share * texel(albedo, image, row, column + 1)
    lower = (1.0 - right_share) * texel(albedo, image, row + 1, column)
    lower += right_share * texel(albedo, image, row + 1, column + 1)
    return (1.0 - bottom_share) * upper + bottom_share * lower


@wp.func
def normal_at(heads: Heads, image: wp.int32, index: wp.int32, weights: wp.vec3f) -> wp.vec3f:
    """The interpolated normal, which is shorter than 1 between corners that differ."""
    face = heads.faces[index]
    return (
        weights[0] * heads.normals[image, face[0]]
        + weights[1] * heads.normals[image, face[1]]
        + weights[2] * heads.normals[image, face[2]]
    )


@wp.func
def albedo_at(heads: Heads, image: wp.int32, index: wp.int32, weights: wp.vec3f) -> wp.vec3f:
    """The texture at the interpolated coordinates."""
    corner = heads.uv_faces[index]
    uv = (
        weights[0] * heads.uv[corner[0]]
        + weights[1] * heads.uv[corner[1]]
        + weights[2] * heads.uv[corner[2]]
    )
    return bilinear(heads.albedo, image, uv)


@wp.func
def weights_at(
    heads: Heads,
    image: wp.int32,
    index: wp.int32,
    row: wp.int32,
    column: wp.int32,
    height: wp.int32,
    width: wp.int32,
) -> wp.vec3f:
    """Barycentric coordinates of a pixel centre in the triangle seen there."""
    face = heads.faces[index]
    return corner_weights(
        heads.projected[image, face[0]],
        heads.projected[image, face[1]],
        heads.projected[image, face[2]],
        row,
        column,
        height,
        width,
    )


@wp.kernel
def shade_style(
    z_buffer: wp.array3d(dtype=wp.int64),  # (B, H, W)
    heads: Heads,
    maps: wp.array4d(dtype=wp.float32),  # (B, 9, H, W), written
) -> None:
    """Normal, albedo and their product with the light. Launch: (B, H, W)."""
    image, row, column = wp.tid()
    packed = z_buffer[image, row, column]
    if packed == EMPTY:
        for channel in range(9):
            maps[image, channel, row, column] = 0.0
        return
    index = triangle_of(packed)
    weights = weights_at(heads, image, index, row, column, maps.shape[2], maps.shape[3])
    normal = normal_at(heads, image, index, weights)
    albedo = albedo_at(heads, image, index, weights)
    lit = wp.cw_mul(albedo, shading(normal, heads.light, image))
    for axis in range(3):
        maps[image, axis, row, column] = normal[axis]
        maps[image, 3 + axis, row, column] = albedo[axis]
        maps[image, 6 + axis, row, column] = lit[axis]


@wp.kernel
def shade_rgba(
    z_buffer: wp.array3d(dtype=wp.int64),  # (B, H, W)
    heads: Heads,
    images: wp.array4d(dtype=wp.float32),  # (B, 4, H, W), written
) -> None:
    """The lit albedo, clamped, and the coverage. Launch: (B, H, W)."""
    image, row, column = wp.tid()
    packed = z_buffer[image, row, column]
    if packed == EMPTY:
        for channel in range(4):
            images[image, channel, row, column] = 0.0
        return
    index = triangle_of(packed)
    weights = weights_at(heads, image, index, row, column, images.shape[2], images.shape[3])
    normal = normal_at(heads, image, index, weights)
    albedo = albedo_at(heads, image, index, weights)
    lit = wp.cw_mul(albedo, shading(normal, heads.light, image))
    for channel in range(3):
        images[image, channel, row, column] = wp.clamp(lit[channel], 0.0, 1.0)
    images[image, 3, row, column] = 1.0
