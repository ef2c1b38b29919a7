# SPDX-License-Identifier: Apache-2.0
"""All that is known of a head's texture before anybody is photographed.

Letters  S side of the texture, V vertices. Frame of the head: metres, y up, face towards +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.plain_skin import plain_skin
from mien_server.avatar.texture.regions import FaceMeasures, texture_regions
from mien_server.avatar.texture.texels import TexelMap, texel_map
from mien_server.rendering import Topology

__all__ = ["FaceAtlas", "face_atlas"]

Array = NDArray[Any]

# A texel's mirror image may lie this far from where it should be, in metres.
SYMMETRY_M = 0.002
SYMMETRIC_SHARE = 0.98
PLAIN_SIZE = 256  # side at which plain skin is told from features


@dataclass(frozen=True, slots=True, eq=False)
class FaceAtlas:
    """A texture's layout, for any number of people; keep it, it takes a while to make.

    Attributes:
        texels: what each texel shows.
        photograph: (S, S) float32 0..1, how much of a photograph a texel may show.
        skin: (S, S) float32 0..1, where skin is.
        plain: (S, S) float32 0..1, where a photograph shows skin and no feature of the face.
        position: (S, S, 3) float32 metres, on the mean head at rest.
        measures: of that head.
        is_symmetric: whether the texture mirrored left to right is that of the mirrored head.
    """

    texels: TexelMap
    photograph: NDArray[np.float32]
    skin: NDArray[np.float32]
    plain: NDArray[np.float32]
    position: NDArray[np.float32]
    measures: FaceMeasures
    is_symmetric: bool

    @property
    def size(self) -> int:
        """S."""
        return len(self.photograph)


def face_atlas(
    topology: Topology, neutral_vertices: Array, neutral_landmarks_68: Array, size: int
) -> FaceAtlas:
    """Lay out the texture of a head model.

    Args:
        topology: of the head.
        neutral_vertices: (V, 3) metres, the mean head at rest.
        neutral_landmarks_68: (68, 3) metres of that head.
        size: S: 256, 512 or 1024.

    Raises:
        ValueError: a shape, a size or a head that is not allowed.
    """
    regions = texture_regions(topology, neutral_vertices, neutral_landmarks_68)
    texels = texel_map(topology, size)
    shares = texels.of_coordinates(np.stack([regions.photograph, regions.skin], axis=1))
    position = texels.of_vertices(neutral_vertices)
    photograph = np.ascontiguousarray(shares[..., 0])
    measures = FaceMeasures.of(neutral_landmarks_68)
    step = max(1, size // PLAIN_SIZE)
    plain = plain_skin(position[::step, ::step], neutral_landmarks_68, measures.third)
    return FaceAtlas(
        texels,
        photograph,
        np.ascontiguousarray(shares[..., 1]),
        photograph * cv2.resize(plain, (size, size)),
        position,
        measures,
        _is_symmetric(position, photograph > 0),
    )


def _is_symmetric(position: Array, face: NDArray[np.bool_]) -> bool:
    both = face & face[:, ::-1]
    apart: Array = position - position[:, ::-1] * np.array([-1, 1, 1], np.float32)
    near = np.linalg.norm(apart, axis=-1) < SYMMETRY_M
    return bool(np.count_nonzero(both & near) >= SYMMETRIC_SHARE * np.count_nonzero(face))
