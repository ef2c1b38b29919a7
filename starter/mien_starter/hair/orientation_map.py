# SPDX-License-Identifier: Apache-2.0
"""The orientation map of known hair: what `hair_orientation` should find in a photograph of it.

Letters  S hairs, P points of each, V vertices, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien_server.hair.orientation import encoded_map
from mien_server.rendering import project, rasterize
from mien_starter.hair.ribbons import ribbons, segment_of

__all__ = ["HairDrawing", "drawn_hair", "orientation_map"]

SIZE_PX = 256
WIDTH_M = 0.0022  # so that some thousand hairs leave no holes
_EVERY = 3  # of the points of a hair that is drawn


@dataclass(frozen=True, eq=False)
class HairDrawing:
    """Hair before a body, as it is seen.

    Attributes:
        map_rgb: (size, size, 3) uint8 which way it runs, in HairNet's encoding.
        depth: (size, size) of what is nearest, as `mien_server.rendering.rasterize` has it.
    """

    map_rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]


def orientation_map(
    hairs: npt.ArrayLike,
    vertices: npt.ArrayLike,
    faces: npt.ArrayLike,
    camera: npt.ArrayLike,
    *,
    size: int = SIZE_PX,
    width_m: float = WIDTH_M,
) -> npt.NDArray[np.uint8]:
    """(size, size, 3) uint8, the map of `drawn_hair` alone."""
    return drawn_hair(hairs, vertices, faces, camera, size=size, width_m=width_m).map_rgb


def drawn_hair(
    hairs: npt.ArrayLike,
    vertices: npt.ArrayLike,
    faces: npt.ArrayLike,
    camera: npt.ArrayLike,
    *,
    size: int = SIZE_PX,
    width_m: float = WIDTH_M,
) -> HairDrawing:
    """Draw which way hair runs, in HairNet's encoding (`mien_server.hair.orientation`).

    Hair hides the body and the body hides hair, pixel by pixel. Strands run from root to tip, but
    as in photographs only the line counts: of its two senses the one that points up is encoded.

    Args:
        hairs: (S, P, 3) metres as the viewer sees them: x to the right, y up, z to the viewer;
            many, such as `dense_hairs` makes. S may be 0.
        vertices: (V, 3) of head or bust, likewise.
        faces: (F, 3).
        camera: (3,) DECA's s, tx, ty; see `mien_server.rendering.camera`.
        size: of the map in pixels.
        width_m: of a hair as it is drawn.

    Raises:
        ValueError: a shape that is not allowed.
    """
    lines = np.asarray(hairs, np.float32)
    if lines.ndim != 3 or lines.shape[2] != 3 or lines.shape[1] < 2:
        raise ValueError(f"hairs have shape {lines.shape}; they must be (S, P >= 2, 3)")
    body, triangles = np.asarray(vertices, np.float32), np.asarray(faces, np.int32)
    kept = np.unique(np.append(np.arange(0, lines.shape[1], _EVERY), lines.shape[1] - 1))
    lines = lines[:, kept]
    strips, strip_faces = ribbons(lines, width_m)
    mesh = project(np.concatenate([body, strips]), camera)
    every = np.concatenate([triangles, strip_faces + len(body)])
    raster = rasterize(mesh[None], every, height=size, width=size)
    seen = raster.triangle[0]
    hair = seen >= len(triangles)
    angles = np.zeros(seen.shape)
    strand, segment = segment_of(seen[hair] - len(triangles), lines.shape[1])
    way = lines[strand, segment + 1] - lines[strand, segment]
    angles[hair] = np.arctan2(way[:, 1], way[:, 0])
    return HairDrawing(encoded_map(angles, hair, (seen >= 0) & ~hair), raster.depth[0])
