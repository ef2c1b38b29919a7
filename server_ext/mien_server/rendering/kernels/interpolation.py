# SPDX-License-Identifier: Apache-2.0
"""The kernel of attribute interpolation: one source for CPU and CUDA."""

from __future__ import annotations

import warp as wp

__all__ = ["blend"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def blend(
    triangle: wp.array3d(dtype=wp.int32),  # (B, H, W)
    barycentric: wp.array3d(dtype=wp.vec3f),  # (B, H, W)
    corners: wp.array(dtype=wp.vec3i),  # (F)
    attributes: wp.array3d(dtype=wp.float32),  # (B or 1, N, C)
    values: wp.array4d(dtype=wp.float32),  # (B, H, W, C), written
) -> None:
    """Mix the attributes of the corners seen at a pixel. Launch: (B, H, W)."""
    image, row, column = wp.tid()
    channels = values.shape[3]
    index = triangle[image, row, column]
    if index < 0:
        for channel in range(channels):
            values[image, row, column, channel] = 0.0
        return
    source = wp.min(image, attributes.shape[0] - 1)
    weights = barycentric[image, row, column]
    corner = corners[index]
    for channel in range(channels):
        values[image, row, column, channel] = (
            weights[0] * attributes[source, corner[0], channel]
            + weights[1] * attributes[source, corner[1], channel]
            + weights[2] * attributes[source, corner[2], channel]
        )
