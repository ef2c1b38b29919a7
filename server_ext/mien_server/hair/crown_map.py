# SPDX-License-Identifier: Apache-2.0
"""How far skin reaches in each direction from the middle of a head, as a picture.

Straight up is the middle of the picture, straight down its rim, and the distance from the middle is
the angle from straight up (azimuthal equidistant projection). Looking a point up in it is far
cheaper than asking a mesh for its distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.head import Head
from mien_server.rendering.rasterizer import rasterize

__all__ = ["CrownMap", "draw_crown_map", "middle_of_head"]

_SIDE_PX = 128  # 2.8 degrees each, 5 mm of skin


@dataclass(frozen=True, slots=True, eq=False)
class CrownMap:
    """Distances to the farthest skin.

    Attributes:
        middle: (3,) where directions start.
        reach: (128, 128) float32 metres; 0 in directions without skin.
    """

    middle: NDArray[np.float32]
    reach: NDArray[np.float32]

    def at(self, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(N,) distances of (N, 3) points from the middle, and `reach` in their directions."""
        place, far = _about_crown(points - self.middle)
        pixel = np.clip(((place + 1) * (_SIDE_PX / 2)).astype(np.int64), 0, _SIDE_PX - 1)
        return far, self.reach[pixel[:, 1], pixel[:, 0]]


def middle_of_head(head: Head) -> NDArray[np.float32]:
    """(3,) the centre of the box about the scalp, from which nearly all skin is in sight."""
    places = head.vertices[head.scalp]
    middle: NDArray[np.float32] = (places.min(axis=0) + places.max(axis=0)) / 2
    return middle


def draw_crown_map(head: Head, faces: NDArray[np.int32]) -> CrownMap:
    """The map of some of a head's triangles (F, 3); where they overlap, of the outermost."""
    middle = middle_of_head(head)
    place, far = _about_crown(head.vertices - middle)
    raster = rasterize(np.column_stack([place, -far])[None], faces, height=_SIDE_PX, width=_SIDE_PX)
    reach = np.where(raster.mask[0], -raster.depth[0], 0).astype(np.float32)
    return CrownMap(middle, reach)


def _about_crown(
    directions: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 2) places in -1..1 of the map, and (N,) lengths."""
    x, y, z = directions.T
    side = np.hypot(x, z)
    scale = np.arctan2(side, y) / np.pi / np.maximum(side, 1e-12)
    return np.column_stack([x * scale, z * scale]), np.hypot(side, y)
