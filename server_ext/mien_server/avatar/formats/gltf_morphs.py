# SPDX-License-Identifier: Apache-2.0
"""Morph targets of a glTF primitive: only the vertices that move are stored.

A movement of less than a micrometre counts as none, so that what float16 bases leave behind far
from where a target acts takes no room. Packed deltas are 16-bit fractions of a metre
(KHR_mesh_quantization), in steps of 31 micrometres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.formats.glb_document import ARRAY_BUFFER, Attribute, Document
from mien_server.avatar.model import Morphs

__all__ = ["MorphWriter"]

LEAST_M = 1e-6
PACKED_UNITS = 32767
QUANTIZATION = "KHR_mesh_quantization"


class MorphWriter:
    """Adds the morph targets of an avatar, part by part.

    Args:
        morphs: M targets of V vertices.
        packed: whether deltas are stored as 16-bit fractions.

    Raises:
        ValueError: packed, and a vertex moves farther than a metre.
    """

    def __init__(self, morphs: Morphs, *, packed: bool) -> None:
        deltas = morphs.deltas
        if packed and (farthest := np.abs(deltas).max(initial=0)) > 1:
            raise ValueError(
                f"a morph target moves a vertex by {farthest:.3g} m; packed targets reach 1 m"
            )
        self._packed = packed
        self._values = (
            np.rint(deltas * np.float32(PACKED_UNITS)).astype(np.int16) if packed else deltas
        )
        moves = self._values != 0 if packed else np.abs(deltas) > LEAST_M
        self._moves: NDArray[np.bool_] = moves[..., 0] | moves[..., 1] | moves[..., 2]

    def targets(self, document: Document, vertices: NDArray[np.int32]) -> list[dict[str, int]]:
        """Put the targets of one primitive into a document.

        Args:
            document: grows.
            vertices: (N,) of the head, one for each vertex of the primitive.

        Returns:
            M entries of the primitive's `targets`.
        """
        if self._packed:
            document.extensions.add(QUANTIZATION)
        still: int | None = None
        accessors = []
        for values, moves in zip(self._values, self._moves[:, vertices], strict=True):
            rows = np.flatnonzero(moves)
            if len(rows):
                accessors.append(self._target(document, values, rows, vertices))
                continue
            if still is None:
                # One row of zeros: not every reader knows accessors without any bytes.
                zero = self._attribute(np.zeros((1, 3)))
                still = document.sparse(zero, np.zeros(1, np.intp), len(vertices))
            accessors.append(still)
        return [{"POSITION": accessor} for accessor in accessors]

    def _target(
        self,
        document: Document,
        values: NDArray[np.generic],
        rows: NDArray[np.intp],
        vertices: NDArray[np.int32],
    ) -> int:
        moved = self._attribute(values[vertices[rows]])
        row_bytes = moved.values[:1].nbytes
        dense_bytes = len(vertices) * (row_bytes + -row_bytes % 4)
        index_bytes = 2 if len(vertices) <= 0xFFFF else 4
        if len(rows) * (row_bytes + index_bytes) < dense_bytes:
            return document.sparse(moved, rows, len(vertices))
        whole = np.zeros((len(vertices), 3), moved.values.dtype)
        whole[rows] = moved.values
        return document.accessor(self._attribute(whole), ARRAY_BUFFER)

    def _attribute(self, values: NDArray[np.generic]) -> Attribute:
        kind = np.int16 if self._packed else np.float32
        return Attribute(values.astype(kind, copy=False), normalized=self._packed, bounds=True)
