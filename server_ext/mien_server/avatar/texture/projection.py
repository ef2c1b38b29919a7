# SPDX-License-Identifier: Apache-2.0
"""A photograph seen through the texture of the head in it.

Every texel of the face is looked up where its point of the head lies in the photograph, and gets a
weight: 0 where the head itself is in the way, where the surface turns away from the camera, outside
the photograph and where it must not show one; near the rim of what is seen it fades.

Letters  V vertices, S side of the texture, H and W of the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.atlas import FaceAtlas
from mien_server.avatar.texture.lookup import looked_up
from mien_server.avatar.texture.regions import ramp
from mien_server.avatar.texture.visibility import head_sight
from mien_server.rendering import vertex_normals

__all__ = ["PhotographedHead", "Samples", "project_photograph"]

Array = NDArray[Any]

FACING = (0.15, 0.6)  # z of the unit normal: from 81 degrees away to 53
RIM_M = (0.0015, 0.006)
# In pixels of the photograph: bilinear lookups must not meet what lies beyond its border.
BORDER_PX = (0.5, 2.5)


@dataclass(frozen=True, slots=True, eq=False)
class PhotographedHead:
    """A photograph and the head that was fitted to it.

    Attributes:
        image_rgb: (H, W, 3) uint8.
        vertices: (V, 3) float32 metres, posed as in the photograph: x to its right, y up, z towards
            the viewer.
        vertices_px: (V, 3) float32 x, y pixels of the photograph, with the centre of pixel i at
            i + 0.5, and z away from the viewer in the same scale.
        light: (9, 3) or (27,) of the fit, see `mien_server.rendering.lighting`.
        hair: (H, W) 0..1, how much hair covers a pixel, or None where that is not known.

    Raises:
        ValueError: a shape that is not allowed, or a number that is not finite.
    """

    image_rgb: NDArray[np.uint8]
    vertices: NDArray[np.float32]
    vertices_px: NDArray[np.float32]
    light: NDArray[np.float32]
    hair: Array | None = None

    def __post_init__(self) -> None:
        image = self.image_rgb
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(
                f"image_rgb is {image.dtype} {image.shape}; it must be uint8 (H, W, 3)"
            )
        shape = self.vertices.shape
        if len(shape) != 2 or shape[1] != 3 or self.vertices_px.shape != shape:
            raise ValueError(
                f"vertices have shape {shape} and vertices_px {self.vertices_px.shape}; both must "
                "be (V, 3)"
            )
        if self.light.shape not in ((9, 3), (27,)):
            raise ValueError(f"light has shape {self.light.shape}; it must be (9, 3) or (27,)")
        if self.hair is not None and self.hair.shape != image.shape[:2]:
            raise ValueError(
                f"hair has shape {self.hair.shape}; it must be that of the photograph, "
                f"{image.shape[:2]}"
            )
        for name in ("vertices", "vertices_px", "light"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} have values that are not finite; was a face found?")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a photograph shows of a texture.

    Attributes:
        colour: (S, S, 3) float32 RGB 0..1; anything where the weight is 0.
        weight: (S, S) float32 0..1, how far it can be relied on.
        normal: (S, S, 3) float32, as the renderer interpolates it, in the frame of the light.
        pixels_per_metre: of the photograph, where the surface faces the camera.
    """

    colour: NDArray[np.float32]
    weight: NDArray[np.float32]
    normal: NDArray[np.float32]
    pixels_per_metre: float


def project_photograph(head: PhotographedHead, atlas: FaceAtlas) -> Samples:
    """Look up each texel in the photograph.

    Args:
        head: photograph and fit.
        atlas: of the head model.

    Raises:
        ValueError: the head has another number of vertices than the atlas, or no size.
    """
    topology = atlas.texels.topology
    if len(head.vertices) != topology.vertex_count:
        raise ValueError(
            f"the head has {len(head.vertices)} vertices; the atlas was made for "
            f"{topology.vertex_count}"
        )
    sight = head_sight(head.vertices, head.vertices_px, topology.faces)
    normals = vertex_normals(head.vertices[None], topology.faces)[0]
    shown = atlas.texels.of_vertices(np.column_stack([head.vertices_px, normals]))
    facing = shown[..., 5] / np.maximum(
        np.sqrt(np.square(shown[..., 3:]) @ np.ones(3, np.float32)), 1e-6
    )
    seen, rim_m = sight.seen(shown[..., :3], facing)
    weight = atlas.photograph * ramp(facing, *FACING) * ramp(rim_m, *RIM_M) * seen
    height, width = head.image_rgb.shape[:2]
    x, y = shown[..., 0], shown[..., 1]
    inside_px = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))
    weight *= ramp(inside_px, *BORDER_PX)
    at = np.ascontiguousarray(shown[..., :2])
    colour = looked_up(head.image_rgb, at, weight > 0, denoised=True) / np.float32(255)
    if head.hair is not None:
        weight *= 1 - np.clip(looked_up(head.hair.astype(np.float32), at, weight > 0), 0, 1)
    return Samples(
        colour,
        weight.astype(np.float32),
        np.ascontiguousarray(shown[..., 3:]),
        sight.pixels_per_metre,
    )
