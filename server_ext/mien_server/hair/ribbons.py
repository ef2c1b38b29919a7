# SPDX-License-Identifier: Apache-2.0
"""Hairs as a picture shows them: ribbons that turn to the viewer, shaded as fibres.

Paper    Kajiya and Kay 1989, *Rendering Fur with Three Dimensional Textures*, section 4.
Letters  S hairs, P points of each, N = 2 S P vertices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.frames import tangents
from mien_server.hair.more_strands import more_strands
from mien_server.hair.polylines import with_points
from mien_server.hair.shading import light_within, middle_of
from mien_server.hair.strands import Strands

__all__ = ["Ribbons"]

_HAIRS, _POINTS, _HALF_WIDTH_M = 5_000, 40, 0.00035
_TONES = (0.8, 1.15)
_AMBIENT, _DIFFUSE, _GLOSS, _SHARPNESS = 0.30, 0.85, 0.12, 24
_LEAST = 1e-6


class Ribbons:
    """Some thousand hairs, worked out once for any number of views.

    Args:
        strands: 1 or more, on the head; more are laid between them.
        colour: (3,) RGB in 0..1 of the hair.

    Attributes:
        points: (S, P, 3) metres, in the head's frame.
        faces: (F, 3) int64 triangles of N vertices.
    """

    def __init__(self, strands: Strands, colour: ArrayLike) -> None:
        dense = with_points(more_strands(strands, max(_HAIRS, len(strands))), _POINTS)
        count, length = dense.points.shape[:2]
        tones = np.random.default_rng(0).uniform(*_TONES, (count, 1))
        self.points: NDArray[np.float32] = dense.points
        self._along = tangents(dense.points)
        self._shade = light_within(dense.points, dense, middle_of(strands)) * tones
        self._colour = np.asarray(colour, np.float32)  # as codes of avatars keep it
        first = 2 * (np.arange(count)[:, None] * length + np.arange(length - 1))
        faces = first[..., None, None] + np.array([[0, 1, 2], [1, 3, 2]])
        self.faces: NDArray[np.int64] = faces.reshape(-1, 3)

    def seen(self, view: NDArray[Any], light: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Vertices and colours for one viewer.

        Args:
            view: (3, 3) from the head's frame to the viewer's: x to the right, y up, z to the
                viewer.
            light: (3,) the way to it, of unit length, in the viewer's frame.

        Returns:
            (N, 3) metres in the viewer's frame, and (N, 3) RGB in 0..1.
        """
        points, along = self.points @ view.T, self._along @ view.T
        across = np.stack([along[..., 1], -along[..., 0], np.zeros(along.shape[:2])], axis=2)
        across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), _LEAST)
        edges = points[:, :, None] + _HALF_WIDTH_M * across[:, :, None] * [[-1], [1]]
        sine = np.sqrt(np.clip(1 - (along @ np.asarray(light)) ** 2, 0, 1))
        facing = np.sqrt(np.clip(1 - along[..., 2] ** 2, 0, 1))
        gloss = _GLOSS * np.clip(sine * facing, 0, 1) ** _SHARPNESS
        tone = (_AMBIENT + _DIFFUSE * sine[..., None]) * self._colour + gloss[..., None]
        colours = self._shade[..., None] * tone
        return edges.reshape(-1, 3), np.repeat(colours.reshape(-1, 3), 2, axis=0).clip(0, 1)
