# SPDX-License-Identifier: Apache-2.0
"""Kernels of the z-buffer: one source for CPU and CUDA.

Vertices are snapped to a lattice of 1/16384 pixel, on which pixel centres lie. Edge functions are
whole numbers there, which float64 holds exactly as long as a triangle spans less than 4096 pixels.
So two triangles that share an edge see the same line, and each pixel centre belongs to exactly one
of them (the top-left rule of the usual graphics interfaces).

A pixel of the z-buffer is one int64: depth, made to order like an integer, above the number of the
triangle. One atomic minimum keeps the nearest, and of equally near ones the first.
"""

from __future__ import annotations

import warp as wp

__all__ = ["EMPTY", "corner_weights", "cover", "resolve", "triangle_of"]

wp.set_module_options({"enable_backward": False})

STEPS_PER_PIXEL = wp.constant(wp.float64(16384.0))
EMPTY = wp.constant(wp.int64(0x7FFFFFFFFFFFFFFF))  # a pixel that no triangle covers
ID_MASK = wp.constant(wp.int64(0x7FFFFFFF))


@wp.func
def lattice(value: wp.float32, size: wp.int32) -> wp.float64:
    """Lattice coordinate of an image coordinate in -1..1; the centre of pixel i is at i steps."""
    pixel = (wp.float64(value) + wp.float64(1.0)) * wp.float64(0.5) * wp.float64(size)
    return wp.rint((pixel - wp.float64(0.5)) * STEPS_PER_PIXEL)


@wp.func
def edge_limit(dx: wp.float64, dy: wp.float64) -> wp.float64:
    """What an edge function must exceed: one of two triangles with this edge owns its points."""
    if dy > wp.float64(0.0) or (dy == wp.float64(0.0) and dx > wp.float64(0.0)):
        return wp.float64(-0.5)
    return wp.float64(0.0)


@wp.func
def ordered(depth: wp.float32) -> wp.int32:
    """The bits of a depth, as an integer that is smaller where the depth is."""
    bits = wp.cast(depth, wp.int32)
    if bits < 0:
        bits = bits ^ 0x7FFFFFFF
    return bits


@wp.func
def depth_of(packed: wp.int64) -> wp.float32:
    """Depth of a covered pixel."""
    bits = wp.int32(packed >> wp.int64(32))
    if bits < 0:
        bits = bits ^ 0x7FFFFFFF
    return wp.cast(bits, wp.float32)


@wp.func
def triangle_of(packed: wp.int64) -> wp.int32:
    """Triangle of a covered pixel."""
    return wp.int32(packed & ID_MASK)


@wp.kernel
def cover(
    vertices: wp.array2d(dtype=wp.vec3f),  # (B, V)
    faces: wp.array(dtype=wp.vec3i),  # (F)
    cull_backfaces: wp.int32,
    z_buffer: wp.array3d(dtype=wp.int64),  # (B, H, W), all EMPTY before
) -> None:
    """Enter triangle `index` of mesh `image` into the z-buffer. Launch: (B, F)."""
    image, index = wp.tid()
    height = z_buffer.shape[1]
    width = z_buffer.shape[2]
    face = faces[index]
    a = vertices[image, face[0]]
    b = vertices[image, face[1]]
    c = vertices[image, face[2]]
    ax = lattice(a[0], width)
    ay = lattice(a[1], height)
    bx = lattice(b[0], width)
    by = lattice(b[1], height)
    cx = lattice(c[0], width)
    cy = lattice(c[1], height)

    # With y down, a triangle whose corners run counter-clockwise to the eye has a negative area.
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    none = wp.float64(0.0)
    if area == none or (cull_backfaces != 0 and area > none):
        return

    # Written so that NaN fails.
    left = wp.max(wp.ceil(wp.min(ax, wp.min(bx, cx)) / STEPS_PER_PIXEL), none)
    right = wp.min(wp.floor(wp.max(ax, wp.max(bx, cx)) / STEPS_PER_PIXEL), wp.float64(width - 1))
    top = wp.max(wp.ceil(wp.min(ay, wp.min(by, cy)) / STEPS_PER_PIXEL), none)
    bottom = wp.min(wp.floor(wp.max(ay, wp.max(by, cy)) / STEPS_PER_PIXEL), wp.float64(height - 1))
    if not (left <= right and top <= bottom):
        return

    # Edge opposite each corner, turned so that the inside is positive.
    turn = wp.sign(area)
    dx0 = turn * (cx - bx)
    dy0 = turn * (cy - by)
    dx1 = turn * (ax - cx)
    dy1 = turn * (ay - cy)
    dx2 = turn * (bx - ax)
    dy2 = turn * (by - ay)
    x = left * STEPS_PER_PIXEL
    y = top * STEPS_PER_PIXEL
    row0 = dx0 * (y - by) - dy0 * (x - bx)
    row1 = dx1 * (y - cy) - dy1 * (x - cx)
    row2 = dx2 * (y - ay) - dy2 * (x - ax)
    limit0 = edge_limit(dx0, dy0)
    limit1 = edge_limit(dx1, dy1)
    limit2 = edge_limit(dx2, dy2)

    per_area = wp.float64(1.0) / wp.abs(area)
    ab = b[2] - a[2]
    ac = c[2] - a[2]
    for row in range(wp.int32(top), wp.int32(bottom) + 1):
        edge0 = row0
        edge1 = row1
        edge2 = row2
        for column in range(wp.int32(left), wp.int32(right) + 1):
            if edge0 > limit0 and edge1 > limit1 and edge2 > limit2:
                weight1 = wp.float32(edge1 * per_area)
                weight2 = wp.float32(edge2 * per_area)
                depth = a[2] + weight1 * ab + weight2 * ac
                packed = (wp.int64(ordered(depth)) << wp.int64(32)) | wp.int64(index)
                wp.atomic_min(z_buffer, image, row, column, packed)
            edge0 -= dy0 * STEPS_PER_PIXEL
            edge1 -= dy1 * STEPS_PER_PIXEL
            edge2 -= dy2 * STEPS_PER_PIXEL
        row0 += dx0 * STEPS_PER_PIXEL
        row1 += dx1 * STEPS_PER_PIXEL
        row2 += dx2 * STEPS_PER_PIXEL


@wp.func
def corner_weights(
    a: wp.vec3f,
    b: wp.vec3f,
    c: wp.vec3f,
    row: wp.int32,
    column: wp.int32,
    height: wp.int32,
    width: wp.int32,
) -> wp.vec3f:
    """Barycentric coordinates of a pixel centre in the triangle that covers it."""
    ax = lattice(a[0], width)
    ay = lattice(a[1], height)
    bx = lattice(b[0], width)
    by = lattice(b[1], height)
    cx = lattice(c[0], width)
    cy = lattice(c[1], height)
    x = wp.float64(column) * STEPS_PER_PIXEL
    y = wp.float64(row) * STEPS_PER_PIXEL
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    edge1 = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
    edge2 = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    per_area = wp.float64(1.0) / area
    return wp.vec3f(
        wp.float32((area - edge1 - edge2) * per_area),
        wp.float32(edge1 * per_area),
        wp.float32(edge2 * per_area),
    )


@wp.kernel
def resolve(
    vertices: wp.array2d(dtype=wp.vec3f),  # (B, V)
    faces: wp.array(dtype=wp.vec3i),  # (F)
    z_buffer: wp.array3d(dtype=wp.int64),  # (B, H, W)
    triangle: wp.array3d(dtype=wp.int32),  # (B, H, W), written
    barycentric: wp.array3d(dtype=wp.vec3f),  # (B, H, W), written
    depth: wp.array3d(dtype=wp.float32),  # (B, H, W), written
) -> None:
    """Unpack the z-buffer. Launch: (B, H, W)."""
    image, row, column = wp.tid()
    packed = z_buffer[image, row, column]
    if packed == EMPTY:
        triangle[image, row, column] = -1
        barycentric[image, row, column] = wp.vec3f(0.0, 0.0, 0.0)
        depth[image, row, column] = wp.inf
        return
    index = triangle_of(packed)
    face = faces[index]
    triangle[image, row, column] = index
    depth[image, row, column] = depth_of(packed)
    barycentric[image, row, column] = corner_weights(
        vertices[image, face[0]],
        vertices[image, face[1]],
        vertices[image, face[2]],
        row,
        column,
        z_buffer.shape[1],
        z_buffer.shape[2],
    )
