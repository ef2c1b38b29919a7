# SPDX-License-Identifier: Apache-2.0
"""Renders a person in a shot: head, hair, shoulders and background, in one image.

The head is shaded as DECA's renderer shades (albedo times spherical harmonics), with a little gloss
on top. Rendering is done `OVERSAMPLE` times larger and averaged down.

Letters  V vertices, S side of the oversampled image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien_server.rendering.camera import project
from mien_server.rendering.lighting import shading
from mien_server.rendering.normals import vertex_normals
from mien_server.rendering.rasterizer import rasterize
from mien_starter.skin.noise import fields_on_head
from mien_starter.world.assets import Assets
from mien_starter.world.hair import Haircut, curtain, hair_cover, shell_offsets
from mien_starter.world.person import Person
from mien_starter.world.shot import Shot
from mien_starter.world.torso import Neck, draw_clothes

Array = npt.NDArray[Any]

OVERSAMPLE = 1.25


@dataclass(frozen=True)
class Layer:
    """Something rendered.

    Attributes:
        colour: (S, S, 3) float32, lit.
        cover: (S, S) float32, 0..1.
        depth: (S, S) float32, smaller is nearer; infinity where nothing is.
    """

    colour: Array
    cover: Array
    depth: Array


class Compositor:
    """Renders people; holds what does not change between them."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        head = assets.head
        self._neck = Neck(head)
        # A person is photographed several times in a row.
        self._albedo = lru_cache(maxsize=8)(lambda person: assets.albedo(person.texture))
        self._cover = lru_cache(maxsize=8)(self._hair_cover)
        wet = np.isin(assets.island, ("eye_left", "eye_right", "teeth_upper"))
        self._is_wet = np.concatenate([wet, np.zeros(self._neck.face_count, bool)])
        self._waves = fields_on_head(head.v_template, seed=21, count=2, size_mm=45.0)
        position = assets.texels.position
        self._strands = _strand_noise(assets)
        self._fibre = fields_on_head(position, seed=22, count=2, size_mm=9.0)[1]
        shell = assets.island == "skin"
        upper = head.v_template[head.f][..., 1].max(axis=1) > -0.075
        self._shell_rows = np.flatnonzero(shell & upper)

    def render(
        self, person: Person, shot: Shot, vertices: Array, size: int, background: Array
    ) -> tuple[Array, Array]:
        """Render one photograph.

        Args:
            person: who.
            shot: how.
            vertices: (V, 3) the person's posed head, metres.
            size: side of the result in pixels.
            background: (size, size, 3) float32.

        Returns:
            (size, size, 3) float32 RGB, not clamped, and (size, size) float32, the share of visible
            skin.
        """
        side = int(size * OVERSAMPLE)
        image = cv2.resize(background, (side, side), interpolation=cv2.INTER_LINEAR)
        skin = self._head(person, shot, vertices, side)
        hair = self._hair(person.haircut, shot, vertices, side)
        strands = self._curtain(person, shot, vertices, side)
        image = _laid(image, _behind(strands, skin))
        image = _laid(image, skin)
        image, clothes = draw_clothes(image, person, shot, self._neck.rim(vertices))
        visible = skin.cover * (1 - clothes)
        for layer in (*hair, strands):
            front = layer.depth < skin.depth + 1e-4
            cover = layer.cover * front
            image = _laid(image, Layer(layer.colour, cover, layer.depth))
            visible *= 1 - cover
        out = (size, size)
        return (
            cv2.resize(image, out, interpolation=cv2.INTER_AREA),
            cv2.resize(visible.astype(np.float32), out, interpolation=cv2.INTER_AREA),
        )

    def _head(self, person: Person, shot: Shot, vertices: Array, side: int) -> Layer:
        head = self._assets.head
        albedo = self._albedo(person)
        whole, faces, uv_faces = self._neck.extended(vertices)
        normals = vertex_normals(whole[None], faces)[0]
        hit = _Hits(project(whole[None], shot.camera[None])[0], faces, side)
        normal = hit.blend(normals[faces[hit.triangle]])
        colour = _lookup(albedo, hit.blend(head.vt[uv_faces[hit.triangle]]))
        gloss = _gloss(normal, shot) * np.where(self._is_wet[hit.triangle], 2.5, 1.0)
        lit = colour * shading(normal, shot.light) + gloss[:, None]
        return hit.layer(lit, np.ones(len(lit), np.float32))

    def _hair(self, cut: Haircut, shot: Shot, vertices: Array, side: int) -> list[Layer]:
        """The shell; first what of it is seen through its own thin edge."""
        if cut.name == "bald":
            return []
        head = self._assets.head
        offset = shell_offsets(cut, head.v_template, self._waves[0])
        normals = vertex_normals(vertices[None], head.f)[0]
        lifted = (vertices + normals * offset[:, None]).astype(np.float32)
        normals = vertex_normals(lifted[None], head.f)[0]
        projected = project(lifted[None], shot.camera[None])[0]
        rows = self._shell_rows
        hit = _Hits(projected, head.f[rows], side)
        shell = self._shaded(cut, shot, hit, rows, normals)
        cover = hair_cover(cut, head.v_template, np.zeros(head.num_vertices))
        rows = rows[(cover > 0.5 * cut.density)[head.f[rows]].all(axis=1)]
        hit = _Hits(projected, head.f[rows], side)
        hit.keep_behind(shell)
        return [self._shaded(cut, shot, hit, rows, normals), shell]

    def _shaded(self, cut: Haircut, shot: Shot, hit: _Hits, rows: Array, normals: Array) -> Layer:
        head = self._assets.head
        uv = hit.blend(head.vt[head.ft[rows][hit.triangle]])
        cover = _lookup(self._cover(cut), uv)[:, 0]
        covering = cover > 0.01
        hit.keep(covering)
        uv, cover = uv[covering], cover[covering]
        normal, share = _towards_viewer(hit.blend(normals[head.f[rows][hit.triangle]]))
        strand = _lookup(self._strands[..., None], uv)[:, 0]
        return hit.layer(_hair_colour(cut, strand, normal, shot) * share, cover)

    def _hair_cover(self, cut: Haircut) -> Array:
        texels = self._assets.texels
        cover = hair_cover(cut, texels.position, self._fibre) * (texels.island >= 0)
        return texels.padded(cover[..., None].astype(np.float32))

    def _curtain(self, person: Person, shot: Shot, vertices: Array, side: int) -> Layer:
        cut = person.haircut
        if cut.length_m <= 0 or cut.name == "bald":
            return _nothing(side)
        local, faces, uv = curtain(cut)
        moved = _follow(local, self._assets, vertices)
        hit = _Hits(project(moved[None], shot.camera[None])[0], faces, side)
        normals = vertex_normals(moved[None], faces)[0]
        normal, share = _towards_viewer(hit.blend(normals[faces[hit.triangle]]))
        where = hit.blend(uv[faces[hit.triangle]])
        rng = np.random.default_rng(cut.seed)
        lanes = rng.normal(0, 1, 400)
        strand = np.interp(where[:, 0] * 400, np.arange(400), lanes)
        colour = _hair_colour(cut, strand, normal, shot) * share
        frayed = 1 - np.clip(
            (0.06 - where[:, 1]) / 0.06 + 0.5 * strand * (where[:, 1] < 0.06), 0, 1
        )
        return hit.layer(colour, frayed.astype(np.float32))


class _Hits:
    """Pixels of one mesh."""

    def __init__(self, projected: Array, faces: Array, side: int) -> None:
        raster = rasterize(projected[None], faces, height=side, width=side)
        self._seen = raster.triangle[0] >= 0
        self.triangle = raster.triangle[0][self._seen]
        self._bary = raster.barycentric[0][self._seen]
        self._depth = np.where(self._seen, raster.depth[0], np.inf)

    def blend(self, corners: Array) -> Array:
        """(P, C) of (P, 3, C) values at corners."""
        bary = self._bary
        return np.asarray(
            bary[:, 0:1] * corners[:, 0]
            + bary[:, 1:2] * corners[:, 1]
            + bary[:, 2:3] * corners[:, 2]
        )

    def keep(self, wanted: Array) -> None:
        """Forget the pixels (P,) that are not wanted."""
        self._seen[self._seen] = wanted
        self.triangle, self._bary = self.triangle[wanted], self._bary[wanted]

    def keep_behind(self, layer: Layer) -> None:
        """Forget the pixels that do not lie behind a layer."""
        self.keep((self._depth > layer.depth + 1e-4)[self._seen])

    def layer(self, colour: Array, cover: Array) -> Layer:
        """Put values of the pixels seen into an image."""
        side = self._seen.shape[0]
        image = np.zeros((side, side, 3), np.float32)
        image[self._seen] = colour
        covered = np.zeros((side, side), np.float32)
        covered[self._seen] = cover
        return Layer(image, covered, self._depth)


def _nothing(side: int) -> Layer:
    shape = (side, side)
    return Layer(
        np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32), np.full(shape, np.inf)
    )


def _laid(image: Array, layer: Layer) -> Array:
    return np.asarray(image + (layer.colour - image) * layer.cover[..., None])


def _behind(layer: Layer, other: Layer) -> Layer:
    return Layer(layer.colour, layer.cover * (layer.depth >= other.depth), layer.depth)


def _towards_viewer(normal: Array) -> tuple[Array, Array]:
    """Normals (P, 3) of a surface seen from both sides, and (P, 1) its light: less inside."""
    inside = normal[:, 2:] < 0
    return np.where(inside, -normal, normal), np.where(inside, 0.55, 1.0)


def _lookup(texture: Array, uv: Array) -> Array:
    """(P, C) bilinear values of (S, S, C) at (P, 2), v up."""
    side = texture.shape[0]
    # OpenCV takes no row of more than 32767 pixels, and no empty array.
    rows = max(1, -(-len(uv) // 1024))
    places = np.zeros((rows * 1024, 2), np.float32)
    places[: len(uv)] = np.stack([uv[:, 0] * side - 0.5, (1 - uv[:, 1]) * side - 0.5], axis=1)
    column, row = np.moveaxis(places.reshape(rows, 1024, 2), -1, 0)
    found = cv2.remap(texture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found).reshape(rows * 1024, -1)[: len(uv)]


def _gloss(normal: Array, shot: Shot) -> Array:
    """Blinn's highlight of the direction that most light comes from, for a viewer at +z."""
    towards = shot.light[1:4].mean(axis=1)
    towards = towards / max(float(np.linalg.norm(towards)), 1e-6)
    half = towards + np.array([0, 0, 1.0])
    half = half / max(float(np.linalg.norm(half)), 1e-6)
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-6)
    cosine = np.clip(normal @ half.astype(np.float32) / length, 0, 1)
    to_the_eighth = np.square(np.square(np.square(cosine)))
    return np.asarray(shot.gloss * to_the_eighth * np.square(to_the_eighth))


def _hair_colour(cut: Haircut, strand: Array, normal: Array, shot: Shot) -> Array:
    base = np.array(cut.colour, np.float32)
    lit = np.clip(shading(normal, shot.light), 0.05, None)
    varied = base * np.exp(0.22 * strand)[:, None]
    sheen = (0.25 * _gloss(normal, shot) / max(shot.gloss, 1e-3))[:, None] * (0.15 + base)
    return np.asarray(varied * lit + 0.35 * sheen * np.exp(0.3 * strand)[:, None])


def _strand_noise(assets: Assets) -> Array:
    """(256, 256) streaks that run from the crown outwards in the UV layout."""
    side = assets.texels.island.shape[0]
    rng = np.random.default_rng(23)
    fine = rng.normal(0, 1, (side, side)).astype(np.float32)
    streaks = cv2.GaussianBlur(fine, (0, 0), sigmaX=0.7, sigmaY=7.0)
    return np.asarray(streaks / streaks.std()).astype(np.float32)


def _follow(points: Array, assets: Assets, vertices: Array) -> npt.NDArray[np.float32]:
    """Points of the mean head's frame, moved as the skull of the posed head was."""
    skull = assets.head.regions["scalp"]
    source = assets.head.v_template[skull].astype(np.float64)
    target = vertices[skull].astype(np.float64)
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(s) @ sign) / (a**2).sum()
    moved = (points - source.mean(axis=0)) @ rotation.T * scale + target.mean(axis=0)
    return np.asarray(moved, np.float32)
