# SPDX-License-Identifier: Apache-2.0
"""A small picture of hair on a head, for lists of hairstyles.

Strands are ribbons on a grey head, without any texture.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mien_server.hair.head import Head
from mien_server.hair.ribbons import Ribbons
from mien_server.hair.strands import Strands
from mien_server.rendering.normals import vertex_normals
from mien_server.rendering.rasterizer import rasterize

__all__ = ["strand_picture", "strand_picture_png"]

_FINER = 2  # samples per pixel, each way
_YAW_DEG, _PITCH_DEG = 28.0, 8.0
_MARGIN = 1.08
_LIGHT = np.array([0.35, 0.55, 0.76])
_BACKGROUND, _SKIN = (0.93, 0.93, 0.93), (0.62, 0.60, 0.58)


def strand_picture_png(
    strands: Strands, head: Head, *, colour: ArrayLike = (0.36, 0.24, 0.16), side_px: int = 256
) -> bytes:
    """`strand_picture` as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(strand_picture(strands, head, colour=colour, side_px=side_px)).save(
        stream, "PNG", optimize=True
    )
    return stream.getvalue()


def strand_picture(
    strands: Strands, head: Head, *, colour: ArrayLike = (0.36, 0.24, 0.16), side_px: int = 256
) -> NDArray[np.uint8]:
    """The head with its hair, turned a little to the side.

    Args:
        strands: S 1 or more, on the head.
        head: all of it is shown, and all of the hair.
        colour: (3,) RGB in 0..1 of the hair.
        side_px: of the square picture.

    Returns:
        (side_px, side_px, 3) uint8 RGB, the same each time.
    """
    view = _rotation()
    skin = head.vertices @ view.T
    normals = vertex_normals(head.vertices[None], head.skin)[0] @ view.T
    lit = 0.45 + 0.55 * np.clip(normals @ _LIGHT, 0, 1)
    ribbons = Ribbons(strands, colour)
    vertices, colours = ribbons.seen(view, _LIGHT)
    places = np.concatenate([skin, vertices]).astype(np.float32)
    corners = np.concatenate([head.skin, ribbons.faces + len(skin)]).astype(np.int32)
    shades = np.concatenate([lit[:, None] * _SKIN, colours])
    shown = np.unique(corners)
    low, high = places[shown, :2].min(axis=0), places[shown, :2].max(axis=0)
    scale = 2 / (_MARGIN * (high - low).max())
    projected = (places - [*(low + high) / 2, 0]) * (scale * np.array([1, -1, -1]))
    side = side_px * _FINER
    raster = rasterize(projected[None], corners, height=side, width=side)
    seen = raster.mask[0]
    picture = np.tile(np.array(_BACKGROUND), (side, side, 1))
    at = corners[raster.triangle[0][seen]]
    picture[seen] = (shades[at] * raster.barycentric[0][seen][..., None]).sum(axis=1)
    picture = picture.reshape(side_px, _FINER, side_px, _FINER, 3).mean(axis=(1, 3))
    return np.asarray(np.round(255 * np.clip(picture, 0, 1)), np.uint8)


def _rotation() -> NDArray[np.float64]:
    """View from head: x to the right, y up, z to the viewer."""
    yaw, pitch = np.deg2rad([_YAW_DEG, _PITCH_DEG])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    return np.asarray(nod @ turn)
