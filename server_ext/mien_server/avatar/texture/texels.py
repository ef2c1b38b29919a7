# SPDX-License-Identifier: Apache-2.0
"""What each texel of a head's texture shows: made once per topology and size.

Letters  S side of the texture, V vertices, T texture coordinates, C channels. Row 0 is v = 1, texel
centres lie at half steps, as in `mien_server.rendering.maps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.rendering import Raster, Topology, interpolate, rasterize

__all__ = ["TEXTURE_SIZES", "TexelMap", "texel_map"]

TEXTURE_SIZES = (256, 512, 1024)

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class TexelMap:
    """The texture of one topology at one size.

    Attributes:
        topology: of the head.
        raster: of one image, S x S: the triangle of each texel.
        nearest: (S, S) flat index of the nearest texel that shows something.
    """

    topology: Topology
    raster: Raster
    nearest: NDArray[np.intp]

    @property
    def size(self) -> int:
        """S."""
        return len(self.nearest)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(S, S), true where a texel shows something."""
        shown: NDArray[np.bool_] = self.raster.mask[0]
        return shown

    def of_vertices(self, values: Array) -> NDArray[np.float32]:
        """(S, S, C) of (V, C) values of vertices, 0 where nothing is shown."""
        mixed: NDArray[np.float32] = interpolate(self.raster, self.topology.faces, values)[0]
        return mixed

    def of_coordinates(self, values: Array) -> NDArray[np.float32]:
        """(S, S, C) of (T, C) values of texture coordinates, 0 where nothing is shown."""
        mixed: NDArray[np.float32] = interpolate(self.raster, self.topology.uv_faces, values)[0]
        return mixed

    def padded(self, texture: Array) -> Array:
        """(S, S, C) whose empty texels have the value of the nearest full one.

        Bilinear lookups and smaller levels of detail reach over the rim of an island.
        """
        padded: Array = texture.reshape(-1, texture.shape[-1])[self.nearest]
        return padded


@lru_cache(maxsize=8)
def texel_map(topology: Topology, size: int) -> TexelMap:
    """Look up every texel; a topology asked for again is not looked at again.

    Args:
        topology: of the head.
        size: S, one of `TEXTURE_SIZES`.

    Raises:
        ValueError: another size, or no texel that shows anything.
    """
    if size not in TEXTURE_SIZES:
        raise ValueError(f"texture size is {size}; it must be one of {TEXTURE_SIZES}")
    u, v = topology.uv.T
    flat = np.stack([2 * u - 1, 1 - 2 * v, np.zeros_like(u)], axis=1)
    raster = rasterize(flat[None], topology.uv_faces, height=size, width=size)
    full = raster.mask[0]
    if not full.any():
        raise ValueError("no triangle covers a texel; its texture coordinates must lie in 0..1")
    return TexelMap(topology, raster, _nearest_full(full))


def _nearest_full(full: NDArray[np.bool_]) -> NDArray[np.intp]:
    _, labels = cv2.distanceTransformWithLabels(
        (~full).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    texel_of_label = np.zeros(int(labels.max()) + 1, np.intp)
    texel_of_label[labels[full]] = np.flatnonzero(full)
    nearest: NDArray[np.intp] = texel_of_label[labels]
    return nearest
