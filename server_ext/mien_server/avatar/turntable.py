# SPDX-License-Identifier: Apache-2.0
"""A picture of an avatar from several sides, hair and expression included.

Letters  V vertices of the head, P pixels of a view.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.neckline import distance_from_neckline
from mien_server.avatar.texture.regions import ramp
from mien_server.hair.ribbons import Ribbons
from mien_server.hair.scalp_cap import root_cover, usual_gap
from mien_server.hair.strands import Strands
from mien_server.rendering import Topology, interpolate, rasterize, vertex_normals

__all__ = ["YAWS_DEG", "turntable"]

Array = NDArray[Any]

YAWS_DEG = (-90, -45, 0, 45, 90)
VIEW_PX, FINER = 320, 2
FILL = 0.92
BACKGROUND = 0.94
# Light from above, a little from the left and the front.
LIGHT = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])
AMBIENT, DIFFUSE = 0.62, 0.48
# Of the scalp between hairs: how much of it is hair that is not drawn, and how dark that is.
STUBBLE, SHADE = 0.7, 0.6
FADING_M = 0.03


def turntable(
    vertices: Array,
    texture_rgb: Array,
    topology: Topology,
    hair: Strands | None = None,
    colour: tuple[float, float, float] = (0, 0, 0),
) -> NDArray[np.uint8]:
    """Draw the avatar from its left over the front to its right.

    Args:
        vertices: (V, 3) metres.
        texture_rgb: (H, W, 3) uint8, row 0 at v = 1.
        topology: of the head.
        hair: on the head; None for a bald one.
        colour: RGB 0..1 of the hair.

    Returns:
        (320, 1600, 3) uint8 RGB.
    """
    skin = np.asarray(vertices, np.float32)
    normals = vertex_normals(skin[None], topology.faces)[0]
    ribbons = None if hair is None else Ribbons(hair, colour)
    # Between hairs that are drawn are many that are not.
    cover = np.zeros(len(skin)) if hair is None else root_cover(skin, hair, usual_gap(hair))
    all_points = [skin] if ribbons is None else [skin, ribbons.points.reshape(-1, 3)]
    low = np.min([points.min(axis=0) for points in all_points], axis=0)
    high = np.max([points.max(axis=0) for points in all_points], axis=0)
    # A head that ends in a cut looks cut off; it fades instead.
    shown = ramp(distance_from_neckline(skin, topology.faces), 0, FADING_M)
    middle, scale = (low + high) / 2, 2 * FILL / float((high - low).max())
    views = []
    for yaw in YAWS_DEG:
        view = _view(yaw)
        points, faces = skin @ view.T, topology.faces
        values = np.column_stack([normals @ view.T, STUBBLE * cover, shown])
        if ribbons is not None:
            hairs, tones = ribbons.seen(view, LIGHT)
            points = np.concatenate([points, hairs])
            values = np.concatenate([values, np.pad(tones, ((0, 0), (0, 2)))])
            faces = np.concatenate([faces, ribbons.faces + len(skin)])
        placed = (points - middle @ view.T) * scale
        views.append(_drawn(placed, faces, values, texture_rgb, topology, colour))
    return np.concatenate(views, axis=1)


def _view(yaw_deg: float) -> NDArray[np.float32]:
    """From the head's frame to that of a viewer: x to the right, y up, z to the viewer."""
    angle = np.deg2rad(yaw_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]], np.float32)


def _drawn(
    points: Array,
    faces: Array,
    values: Array,
    texture: Array,
    topology: Topology,
    hair_colour: tuple[float, float, float],
) -> NDArray[np.uint8]:
    """One view; `values` are (normal, share of hair, how far it is shown) of skin, RGB of hairs."""
    side = VIEW_PX * FINER
    placed = np.asarray(points * [1, -1, -1], np.float32)
    raster = rasterize(placed[None], faces, height=side, width=side)
    shown = interpolate(raster, faces, values.astype(np.float32))[0]
    skin = _sampled(texture, _coordinates(raster.triangle[0], raster.barycentric[0], topology))
    covered, opaque = shown[..., 3:4], shown[..., 4:]
    skin = (1 - covered) * skin + covered * SHADE * np.array(hair_colour, np.float32)
    lit = skin * _light_on(shown[..., :3])[..., None]
    lit = opaque * lit + (1 - opaque) * BACKGROUND
    is_skin = (raster.triangle[0] < len(topology.faces))[..., None]
    colour = np.where(is_skin, lit, shown[..., :3])
    colour = np.where(raster.mask[0][..., None], colour, BACKGROUND).astype(np.float32)
    smaller = cv2.resize(colour, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(smaller.clip(0, 1) * 255), np.uint8)


def _light_on(normals: Array) -> Array:
    """(P, P) of normals (P, P, 3) of any length."""
    length = np.maximum(np.linalg.norm(normals, axis=-1), 1e-6)
    light: Array = AMBIENT + DIFFUSE * np.maximum(normals @ LIGHT.astype(np.float32) / length, 0)
    return light


def _sampled(texture: Array, uv: Array) -> Array:
    """(P, P, 3) in 0..1 of a texture whose row 0 is at v = 1."""
    height, width = texture.shape[:2]
    at = np.stack([uv[..., 0] * width - 0.5, (1 - uv[..., 1]) * height - 0.5], axis=-1)
    skin: Array = cv2.remap(
        texture, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return skin / np.float32(255)


def _coordinates(triangle: Array, weights: Array, topology: Topology) -> Array:
    """(P, P, 2) texture coordinates where the head is seen, zeros elsewhere."""
    on_head = (triangle >= 0) & (triangle < len(topology.faces))
    corners = topology.uv[topology.uv_faces[np.where(on_head, triangle, 0)]]
    uv: Array = (corners * weights[..., None]).sum(axis=-2) * on_head[..., None]
    return uv
