# SPDX-License-Identifier: Apache-2.0
"""The head that hair is put on: its outer skin, and where hair grows.

Frame    the head's: metres, y up, the face towards +z. Letters: V vertices, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.mesh_parts import part_of_vertex
from mien_server.rendering.rasterizer import checked_faces

__all__ = ["Head", "likely_scalp"]

# A plane from the hairline over the forehead to the nape, in widths of the head (ears included),
# measured down from the crown and forward from the back of the head; mien's own mean head.
_DOWN_AT_BACK, _DOWN_PER_FORWARD = 1.238, -0.861


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head, or one of many with the same triangles.

    Attributes:
        vertices: (V, 3) float32 metres.
        skin: (F, 3) int32 triangles of the outer skin, counter-clockwise from outside, without
            eyeballs and teeth, which are parts of their own.
        scalp: (V,) where hair grows.
    """

    vertices: NDArray[np.float32]
    skin: NDArray[np.int32]
    scalp: NDArray[np.bool_]

    @classmethod
    def of(cls, vertices: ArrayLike, faces: ArrayLike, scalp: ArrayLike | None = None) -> Head:
        """Take a mesh apart; done once for all heads of one model, then `with_vertices`.

        Args:
            vertices: (V, 3) metres.
            faces: (F, 3) triangles of the whole mesh.
            scalp: (V,) bool, of which the largest connected part is taken; None where the model
                does not say: `likely_scalp`.

        Raises:
            ValueError: shapes that do not fit together, or a scalp without a triangle.
        """
        places = _checked_vertices(vertices)
        corners = checked_faces(faces, vertex_count=len(places))
        if not len(corners):
            raise ValueError("a head has no triangles; give those of the whole mesh")
        skin = _largest_part(corners, len(places))
        mask = likely_scalp(places, skin) if scalp is None else np.asarray(scalp, bool)
        if mask.shape != (len(places),):
            raise ValueError(f"scalp has shape {mask.shape}; it must be ({len(places)},)")
        within = skin[mask[skin].all(axis=1)]
        if not len(within):
            raise ValueError("no triangle of the head lies within its scalp")
        # A rule by place takes in the hollows of the ears, which lie as deep as the skull.
        grown = np.zeros(len(places), bool)
        grown[_largest_part(within, len(places))] = True
        return cls(places, skin, grown)

    def with_vertices(self, vertices: ArrayLike) -> Head:
        """Another head of the same model.

        Raises:
            ValueError: not as many vertices.
        """
        places = _checked_vertices(vertices)
        if places.shape != self.vertices.shape:
            raise ValueError(
                f"vertices have shape {places.shape}; this head has {self.vertices.shape}"
            )
        return replace(self, vertices=places)

    def is_of_model_of(self, other: Head) -> bool:
        """Whether vertices of the same number are the same place on both."""
        return self.vertices.shape == other.vertices.shape and (
            self.skin is other.skin or np.array_equal(self.skin, other.skin)
        )

    @property
    def scalp_faces(self) -> NDArray[np.int32]:
        """(G, 3) int32 triangles of the skin with all corners on the scalp."""
        return np.asarray(self.skin[self.scalp[self.skin].all(axis=1)])


def likely_scalp(vertices: ArrayLike, skin: ArrayLike) -> NDArray[np.bool_]:
    """Where hair grows on a head that does not say: above a plane from forehead to nape.

    Args:
        vertices: (V, 3).
        skin: (F, 3) triangles of the outer skin.

    Returns:
        (V,) bool, true on the skin alone.
    """
    places = np.asarray(vertices, np.float64)
    on_skin = np.zeros(len(places), bool)
    on_skin[np.asarray(skin)] = True
    low, high = places[on_skin].min(axis=0), places[on_skin].max(axis=0)
    width = high[0] - low[0]
    down, forward = (high[1] - places[:, 1]) / width, (places[:, 2] - low[2]) / width
    mask: NDArray[np.bool_] = on_skin & (down < _DOWN_AT_BACK + _DOWN_PER_FORWARD * forward)
    return mask


def _checked_vertices(vertices: ArrayLike) -> NDArray[np.float32]:
    places = np.ascontiguousarray(vertices, np.float32)
    if places.ndim != 2 or places.shape[1] != 3:
        raise ValueError(f"vertices have shape {places.shape}; they must be (V, 3)")
    if not np.isfinite(places).all():
        raise ValueError("vertices have values that are not finite")
    return places


def _largest_part(faces: NDArray[np.int32], vertex_count: int) -> NDArray[np.int32]:
    """Those of the triangles that hang together with most others."""
    label = part_of_vertex(faces, vertex_count)
    parts, sizes = np.unique(label[faces[:, 0]], return_counts=True)
    return np.asarray(faces[label[faces[:, 0]] == parts[sizes.argmax()]])
