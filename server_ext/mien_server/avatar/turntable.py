# SPDX-License-Identifier: Apache-2.0
"""A picture of an avatar from several sides, hair and expression included.

Letters  V vertices of the head, N of the hair, P pixels of a view.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.hair_geometry import ShellHair
from mien_server.rendering import Topology, interpolate, rasterize, vertex_normals

__all__ = ["YAWS_DEG", "turntable"]

Array = NDArray[Any]

YAWS_DEG = (-90, -45, 0, 45, 90)
VIEW_PX, FINER = 320, 2
FILL = 0.92
BACKGROUND = 0.94
# Light from above, a little from the left and the front.
LIGHT = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])
AMBIENT, DIFFUSE = 0.55, 0.45


def turntable(
    vertices: Array, texture_rgb: Array, topology: Topology, hair: ShellHair | None
) -> NDArray[np.uint8]:
    """Draw the avatar from the right over the front to the left.

    Args:
        vertices: (V, 3) metres.
        texture_rgb: (H, W, 3) uint8, row 0 at v = 1.
        topology: of the head.
        hair: its shell; None for a bald head.

    Returns:
        (320, 1600, 3) uint8 RGB.
    """
    points, faces = np.asarray(vertices, np.float32), topology.faces
    if hair is not None:
        faces = np.concatenate([faces, hair.faces + len(points)])
        points = np.concatenate([points, hair.vertices])
    normals = vertex_normals(points[None], faces)[0]
    colours = np.zeros_like(points)
    if hair is not None:
        normals[len(vertices) :] = vertex_normals(hair.vertices[None], hair.faces)[0]
        colours[len(vertices) :] = hair.colour
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 2 * FILL / float((high - low).max())
    centred = points - (low + high) / 2
    views = [
        _view(
            centred @ _turn(yaw) * scale,
            normals @ _turn(yaw),
            faces,
            colours,
            texture_rgb,
            topology,
        )
        for yaw in YAWS_DEG
    ]
    return np.concatenate(views, axis=1)


def _turn(yaw_deg: float) -> NDArray[np.float32]:
    """Rows of points times this are turned about y."""
    angle = np.deg2rad(yaw_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = [[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]
    return np.array(turn, np.float32)


def _view(
    points: Array, normals: Array, faces: Array, colours: Array, texture: Array, topology: Topology
) -> NDArray[np.uint8]:
    side = VIEW_PX * FINER
    placed = points * np.array([1, -1, -1], np.float32)
    raster = rasterize(placed[None], faces, height=side, width=side)
    shown = interpolate(raster, faces, np.column_stack([normals, colours]).astype(np.float32))[0]
    uv = _coordinates(raster.triangle[0], raster.barycentric[0], topology)
    height, width = texture.shape[:2]
    at = np.stack([uv[..., 0] * width - 0.5, (1 - uv[..., 1]) * height - 0.5], axis=-1)
    skin = cv2.remap(
        texture, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    is_skin = (raster.triangle[0] < len(topology.faces))[..., None]
    colour = np.where(is_skin, skin / np.float32(255), shown[..., 3:])
    length = np.maximum(np.linalg.norm(shown[..., :3], axis=-1), 1e-6)
    facing = np.maximum(shown[..., :3] @ LIGHT.astype(np.float32) / length, 0)
    lit = colour * (AMBIENT + DIFFUSE * facing)[..., None]
    lit = np.where(raster.mask[0][..., None], lit, BACKGROUND).astype(np.float32)
    smaller = cv2.resize(lit, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(smaller.clip(0, 1) * 255), np.uint8)


def _coordinates(triangle: Array, weights: Array, topology: Topology) -> Array:
    """(P, P, 2) texture coordinates where the head is seen, zeros elsewhere."""
    on_head = (triangle >= 0) & (triangle < len(topology.faces))
    corners = topology.uv[topology.uv_faces[np.where(on_head, triangle, 0)]]
    uv: Array = (corners * weights[..., None]).sum(axis=-2) * on_head[..., None]
    return uv
