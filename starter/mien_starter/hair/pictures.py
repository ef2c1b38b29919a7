# SPDX-License-Identifier: Apache-2.0
"""Pictures of hair on the mean head, for people to look at.

Hairs are ribbons that face the viewer, drawn by the server's renderer together with head and bust.
Then every pixel is shaded: hair after Kajiya and Kay 1989 with two highlights, after Marschner et
al. 2003 one white and one of the hair's colour; skin and cloth in soft light; all of it in the
shadow of the hair.

Letters  S hairs, P points of each, N pixels that show something.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mien_server.rendering import project, rasterize, vertex_normals
from mien_starter.hair.grounds import HEAD, Ground
from mien_starter.hair.ribbons import ribbons, segment_of
from mien_starter.hair.shadows import HairShadow
from mien_starter.hair.vectors import unit

__all__ = ["View", "hair_picture", "view_of"]

Array = npt.NDArray[Any]
Picture = npt.NDArray[np.uint8]

_LIGHT = unit([0.45, 0.62, 0.64])
_SKY = unit([0.0, 0.75, 0.66])
_CLOTH = np.array([0.20, 0.23, 0.28])
_WALL = np.array([0.80, 0.81, 0.83])
_NECK_TEXEL = (220, 205)  # a plain one, for the neck below the head's own
_WIDTH_M = 0.0006
_STUBBLE_M = 0.008  # shorter hair is drawn thinner, so that skin shines through
_TINTED_M = (0.002, 0.006)  # skin this near to roots has their colour


@dataclass(frozen=True, slots=True)
class View:
    """From where, and how much of it.

    Attributes:
        yaw_deg: how far the head is turned; positive turns the face to the image's right.
        pitch_deg: positive looks down on it.
        low_y: metres, the lower edge.
        high_y: metres, the upper edge.
    """

    yaw_deg: float
    pitch_deg: float = 4.0
    low_y: float = -0.17
    high_y: float = 0.17

    @property
    def camera(self) -> npt.NDArray[np.float32]:
        """(3,) DECA's."""
        middle = (self.low_y + self.high_y) / 2
        return np.array([2 / (self.high_y - self.low_y), 0.0, -middle], np.float32)

    @property
    def turn(self) -> Array:
        """(3, 3) from the head's frame to the viewer's."""
        y, p = np.deg2rad([self.yaw_deg, self.pitch_deg])
        turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
        return np.asarray(nod @ turn)


def view_of(hairs: npt.NDArray[np.float32], yaw_deg: float) -> View:
    """A view that shows head and hair wholly."""
    view = View(yaw_deg, low_y=-0.17, high_y=0.165)
    if len(hairs) == 0:
        return view
    x, y, _ = (hairs @ view.turn.T).reshape(-1, 3).T
    low = min(view.low_y, float(y.min()) - 0.02)
    high = max(view.high_y, float(y.max()) + 0.015)
    wider = max(0.0, float(np.abs(x).max()) + 0.01 - (high - low) / 2)
    return View(yaw_deg, low_y=low - wider, high_y=high + wider)


def hair_picture(
    hairs: npt.NDArray[np.float32],
    ground: Ground,
    view: View,
    size: int,
    *,
    colour: npt.ArrayLike = (0.17, 0.095, 0.050),
    oversample: int = 3,
) -> Picture:
    """Draw hair on head and bust; about a second for ten thousand hairs.

    Args:
        hairs: (S, P, 3) metres, such as `dense_hairs` makes.
        ground: the head.
        view: of it.
        size: of the picture in pixels.
        colour: (3,) RGB of the hair, 0 to 1.
        oversample: pixels that each pixel is the mean of, along a side.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    turn, side = view.turn, size * oversample
    lines = np.asarray(hairs, np.float64) @ turn.T
    length = np.linalg.norm(np.diff(lines, axis=1), axis=2).sum(axis=1)
    widths = _WIDTH_M * np.clip(length / _STUBBLE_M, 0.15, 1.0)
    strips, strip_faces = ribbons(lines, widths, taper=0.3)
    body = (ground.vertices @ turn.T).astype(np.float32)
    mesh = project(np.concatenate([body, strips]), view.camera)
    faces = np.concatenate([ground.faces, strip_faces + len(body)])
    raster = rasterize(mesh[None], faces, height=side, width=side)
    rows, columns = np.nonzero(raster.mask[0])
    seen = raster.triangle[0][rows, columns]
    places = np.column_stack([(2 * columns + 1) / side - 1, 1 - (2 * rows + 1) / side, rows * 0.0])
    places[:, 2] = -raster.depth[0][rows, columns]
    places = places / view.camera[0] - [*view.camera[1:], 0.0]
    lamp, sky = (
        HairShadow(lines, _LIGHT, 1.1e-4).at(places),
        HairShadow(lines, _SKY, 0.8e-4).at(places),
    )
    is_hair = seen >= len(ground.faces)
    colours = np.empty((len(seen), 3))
    strand, segment = segment_of(seen[is_hair] - len(ground.faces), lines.shape[1])
    colours[is_hair] = _hair(
        unit(lines[strand, segment + 1] - lines[strand, segment]),
        np.asarray(colour, np.float64),
        segment / lines.shape[1],
        np.random.default_rng(3).normal(1, 0.13, len(lines))[strand],
        lamp[is_hair],
        sky[is_hair],
    )
    bare = ~is_hair
    weights, triangle = raster.barycentric[0][rows, columns][bare], seen[bare]
    normals = vertex_normals(body[None], ground.faces)[0][ground.faces[triangle]]
    on_head = places[bare] @ turn
    albedo = _albedo(triangle, weights, on_head, ground)
    tint = _tint(np.asarray(hairs, np.float64)[:, 0], length, on_head)[:, None]
    albedo = albedo * (1 - tint) + tint * 0.8 * np.asarray(colour)
    normal = unit(np.einsum("nc,ncd->nd", weights, normals))
    colours[bare] = albedo * _soft_light(normal, lamp[bare], sky[bare])[:, None]
    image = np.broadcast_to(_WALL, (side, side, 3)).copy()
    image[rows, columns] = colours
    image = image.reshape(size, oversample, size, oversample, 3).mean(axis=(1, 3))
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)


def _hair(
    tangent: Array, colour: Array, along: Array, tone: Array, lamp: Array, sky: Array
) -> Array:
    """Colours (N, 3) of hair; `along` is 0 at the root, `tone` tells hairs apart."""
    to_light, to_eye = tangent @ _LIGHT, tangent[:, 2]
    sine_light = np.sqrt(1 - np.clip(to_light**2, 0, 1))
    sines = sine_light * np.sqrt(1 - np.clip(to_eye**2, 0, 1))
    # Scales tilt the highlight of the surface to the root, and that from within to the tip.
    white = np.clip(sines - (to_light + 0.10) * to_eye, 0, 1) ** 60
    tinted = np.clip(sines - (to_light - 0.14) * to_eye, 0, 1) ** 14
    root = 0.55 + 0.45 * np.clip(along / 0.25, 0, 1)
    diffuse = 0.30 * (0.25 + 0.75 * sky) + 0.85 * sine_light * (0.12 + 0.88 * lamp)
    own = (diffuse + 0.8 * tinted * lamp) * root * tone
    return np.asarray(own[:, None] * colour + (0.16 * white * lamp * root)[:, None])


def _soft_light(normal: Array, lamp: Array, sky: Array) -> Array:
    fill = (0.42 + 0.14 * normal[:, 1] + 0.10 * normal[:, 2]) * (0.35 + 0.65 * sky)
    return np.asarray(fill + 0.62 * np.clip(normal @ _LIGHT, 0, None) * lamp)


@lru_cache(maxsize=1)
def _skin() -> tuple[Array, Array, Array]:
    with np.load(HEAD) as head, np.load(HEAD.with_name("albedo.npz")) as albedo:
        return head["vt"], head["ft"], albedo["mean"].astype(np.float32)


def _albedo(triangle: Array, weights: Array, places: Array, ground: Ground) -> Array:
    """Colours (N, 3) of skin, and of cloth below the neckline."""
    vt, ft, texture = _skin()
    head = triangle < ground.head_faces
    colours = np.broadcast_to(texture[_NECK_TEXEL], (len(triangle), 3)).copy()
    uv = np.einsum("nc,ncd->nd", weights[head], vt[ft[triangle[head]]])
    size = len(texture)
    column, row = np.clip(np.stack([uv[:, 0], 1 - uv[:, 1]]) * size, 0, size - 1).astype(int)
    colours[head] = texture[row, column]
    x, y, z = places.T
    wide = np.clip(np.hypot(x, z + 0.03) - 0.05, 0, 0.05)
    neckline = -0.150 + 0.35 * wide - 0.2 * np.clip(z, -0.1, 0.1)
    colours[~head & (y < neckline)] = _CLOTH
    return colours


def _tint(roots: Array, length: Array, places: Array) -> Array:
    """How much the skin at places (N, 3) takes the colour of the hair that is rooted there."""
    low, high = _TINTED_M
    if len(roots) < 3 or len(places) == 0:
        return np.zeros(len(places))
    span, near = cKDTree(roots).query(places, k=3, distance_upper_bound=3 * high)
    away = np.where(np.isfinite(span), span, 3 * high).mean(axis=1)
    strength = np.append(np.clip(length / 0.012, 0.15, 0.9), 0.0)[near].mean(axis=1)
    return np.asarray(strength * np.clip((high - away) / (high - low), 0, 1))
