# SPDX-License-Identifier: Apache-2.0
"""Where on the head every texel of the UV layout lies.

Letters  S side of the square texture; row 0 is the top (v = 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien_export.head_model import HeadModel, read_head
from mien_server.rendering.rasterizer import rasterize

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Texels:
    """What each texel shows.

    Attributes:
        position: (S, S, 3) float32 metres on the mean head; 0 where nothing is.
        island: (S, S) index into `islands`, -1 where nothing is.
        islands: names.
        uv: (S, S, 2) float32 texel centres, v up.
        nearest: (S, S) flat index of the nearest texel that shows something: pads the islands.
    """

    position: npt.NDArray[np.float32]
    island: npt.NDArray[np.int64]
    islands: tuple[str, ...]
    uv: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int64]

    def of(self, name: str) -> npt.NDArray[np.bool_]:
        """(S, S) mask of one island."""
        return np.asarray(self.island == self.islands.index(name))

    def padded(self, texture: Array) -> Array:
        """The texture with every empty texel filled from the nearest full one."""
        flat = texture.reshape(-1, texture.shape[-1])
        return flat[self.nearest]


def read_texels(path: Path, side: int) -> Texels:
    """The texels of a head file of ours.

    Args:
        path: of `head.npz`.
        side: S.

    Raises:
        CheckpointError: the file is missing or holds no head.
    """
    head = read_head(path)
    with np.load(path) as arrays:
        return texels_of(head, arrays["island"], side)


def texels_of(head: HeadModel, island_of_face: npt.NDArray[np.str_], side: int) -> Texels:
    """Look up every texel.

    Args:
        head: with a UV layout.
        island_of_face: (F,) names.
        side: S.
    """
    uv = head.vt
    flat = np.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1], np.zeros(len(uv))], axis=1)
    raster = rasterize(flat[None].astype(np.float32), head.ft, height=side, width=side)
    triangle, bary = raster.triangle[0], raster.barycentric[0]
    corners = head.v_template[head.f[np.maximum(triangle, 0)]]
    position = np.einsum("hwk,hwkc->hwc", bary, corners).astype(np.float32)
    islands = tuple(np.unique(island_of_face))
    index = np.searchsorted(islands, island_of_face)
    full = triangle >= 0
    centre = (np.arange(side, dtype=np.float32) + 0.5) / side
    grid = np.stack(np.meshgrid(centre, 1 - centre), axis=-1)
    return Texels(
        position=np.where(full[..., None], position, 0),
        island=np.where(full, index[np.maximum(triangle, 0)], -1),
        islands=islands,
        uv=grid.astype(np.float32),
        nearest=_nearest_full(full),
    )


def _nearest_full(full: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    _, labels = cv2.distanceTransformWithLabels(
        (~full).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    flat_index = np.arange(full.size).reshape(full.shape)
    of_label = np.zeros(labels.max() + 1, np.int64)
    of_label[labels[full]] = flat_index[full]
    return np.asarray(of_label[labels])
