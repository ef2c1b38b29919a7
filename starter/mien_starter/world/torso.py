# SPDX-License-Identifier: Apache-2.0
"""What is below the head: a longer neck, and clothes drawn flat over its end.

Letters  V vertices and F triangles of the head, R vertices on the open rim of its neck.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien_export.head_model import HeadModel
from mien_server.rendering.camera import project
from mien_server.rendering.lighting import shading
from mien_starter.world.person import Person
from mien_starter.world.shot import Shot

Array = npt.NDArray[Any]

# How far each further ring lies below the rim, and how much wider it is.
RINGS = ((0.02, 1.0), (0.05, 1.06), (0.10, 1.35))


class Neck:
    """Continues the head's open neck downwards."""

    def __init__(self, head: HeadModel) -> None:
        loop, here = _rim(head)
        there = np.roll(here, -1)
        self._rim = loop
        self._head = head
        count, first = len(loop), head.num_vertices
        rings = [loop, *(first + np.arange(count) + count * ring for ring in range(len(RINGS)))]
        faces, uv_faces = [head.f], [head.ft]
        for above, below in pairwise(rings):
            after, beneath = np.roll(above, -1), np.roll(below, -1)
            faces += [
                np.stack([above, below, beneath], axis=1),
                np.stack([above, beneath, after], axis=1),
            ]
            uv_faces += [
                np.stack([here, here, there], axis=1),
                np.stack([here, there, there], axis=1),
            ]
        self._faces = np.concatenate(faces).astype(np.int32)
        self._uv_faces = np.concatenate(uv_faces).astype(np.int32)

    @property
    def face_count(self) -> int:
        """Triangles that are added."""
        return len(self._faces) - len(self._head.f)

    def rim(self, vertices: Array) -> Array:
        """(R, 3) the rim on a head of (V, 3)."""
        return np.asarray(vertices[self._rim])

    def extended(self, vertices: Array) -> tuple[Array, Array, Array]:
        """Vertices, triangles and texture triangles of head and neck."""
        rim = self.rim(vertices)
        middle = rim.mean(axis=0)
        added = [
            middle + (rim - middle) * [wide, 0.3 if wide > 1.2 else 1.0, wide] - [0, down, 0]
            for down, wide in RINGS
        ]
        whole = np.concatenate([vertices, *added]).astype(np.float32)
        return whole, self._faces, self._uv_faces


def _rim(head: HeadModel) -> tuple[Array, Array]:
    """Vertices along the open edge at the lower end of the neck, and their texture vertices."""
    edges = np.concatenate([head.f[:, [0, 1]], head.f[:, [1, 2]], head.f[:, [2, 0]]])
    uv_edges = np.concatenate([head.ft[:, [0, 1]], head.ft[:, [1, 2]], head.ft[:, [2, 0]]])
    forward = {(int(a), int(b)) for a, b in edges}
    open_edges = {
        int(a): (int(b), int(uv))
        for (a, b), (uv, _) in zip(edges, uv_edges, strict=True)
        if (int(b), int(a)) not in forward
    }
    lowest = min(open_edges, key=lambda vertex: float(head.v_template[vertex, 1]))
    loop, uvs = [lowest], [open_edges[lowest][1]]
    while (following := open_edges[loop[-1]][0]) != lowest:
        loop.append(following)
        uvs.append(open_edges[following][1])
    return np.array(loop), np.array(uvs)


def draw_clothes(image: Array, person: Person, shot: Shot, rim: Array) -> tuple[Array, Array]:
    """Draw shoulders and a neckline over the end of the neck.

    Args:
        image: (S, S, 3) float32 RGB.
        person: who wears them.
        shot: of the camera and the light; each shot has other clothes.
        rim: (R, 3) lower end of the head's own neck, metres.

    Returns:
        The image, and (S, S) float32 what the clothes cover.
    """
    side = image.shape[0]
    rng = np.random.default_rng([person.number, int(shot.camera[0] * 1e4), 7])
    pixels = (project(rim[None], shot.camera[None])[0][:, :2] + 1) * side / 2
    middle = pixels.mean(axis=0)
    metre = float(shot.camera[0]) * side / 2
    shade = shading(np.array([[0.0, 0.45, 0.9]]), shot.light)[0]
    cloth = rng.uniform(0.03, 0.95, 3) * np.clip(shade, 0.15, 1.4)
    top = middle[1] + rng.uniform(0.015, 0.04) * metre
    width = rng.uniform(0.18, 0.22) * metre
    turn = np.linspace(0, np.pi, 41)
    across = middle[0] + width * np.cos(turn)
    up = top + 0.10 * metre * (1 - np.sin(turn) ** 0.55)
    # The neckline: a dip between the shoulders.
    dip = rng.uniform(0.0, 0.055) * metre
    up = up + dip * np.exp(-0.5 * ((across - middle[0]) / (0.045 * metre)) ** 2)
    floor = side * 3.0
    outline = np.vstack(
        [np.stack([across, up], axis=1), [[middle[0] - width, floor], [middle[0] + width, floor]]]
    )
    mask = np.zeros((side, side), np.float32)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1.0, cv2.LINE_AA)
    return np.asarray(image + (cloth - image) * mask[..., None], np.float32), mask
