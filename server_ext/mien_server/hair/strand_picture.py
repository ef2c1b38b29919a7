# SPDX-License-Identifier: Apache-2.0
"""A small picture of hair on a head, for lists of hairstyles.

Strands are ribbons of a third of a millimetre that turn to the viewer, shaded as fibres (Kajiya and
Kay 1989), on a grey head, without any texture.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mien_server.hair.frames import tangents
from mien_server.hair.head import Head
from mien_server.hair.more_strands import more_strands
from mien_server.hair.polylines import with_points
from mien_server.hair.shading import light_within, middle_of
from mien_server.hair.strands import Strands
from mien_server.rendering.normals import vertex_normals
from mien_server.rendering.rasterizer import rasterize

__all__ = ["strand_picture", "strand_picture_png"]

_STRANDS, _POINTS, _HALF_WIDTH_M = 5_000, 40, 0.00035
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
    vertices, faces, colours = _ribbons(strands, view, np.asarray(colour, np.float64))
    places = np.concatenate([skin, vertices]).astype(np.float32)
    corners = np.concatenate([head.skin, faces + len(skin)]).astype(np.int32)
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


def _ribbons(
    strands: Strands, view: NDArray[np.float64], colour: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    dense = with_points(more_strands(strands, max(_STRANDS, len(strands))), _POINTS)
    count, length = dense.points.shape[:2]
    shade = light_within(dense.points, dense, middle_of(strands))
    shade = shade * np.random.default_rng(0).uniform(0.8, 1.15, (count, 1))
    points = dense.points @ view.T
    along = tangents(points)
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-6)
    edges = points[:, :, None] + _HALF_WIDTH_M * across[:, :, None] * [[-1], [1]]
    sine = np.sqrt(np.clip(1 - (along @ _LIGHT) ** 2, 0, 1))
    gloss = 0.12 * np.clip(sine * np.sqrt(1 - along[..., 2] ** 2), 0, 1) ** 24
    colours = (0.30 + 0.85 * sine[..., None]) * shade[..., None] * colour
    colours = colours + (gloss * shade)[..., None]
    first = 2 * (np.arange(count)[:, None] * length + np.arange(length - 1))
    faces = first[..., None, None] + np.array([[0, 1, 2], [1, 3, 2]])
    return edges.reshape(-1, 3), faces.reshape(-1, 3), np.repeat(colours.reshape(-1, 3), 2, axis=0)
