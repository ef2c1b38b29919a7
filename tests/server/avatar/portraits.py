# SPDX-License-Identifier: Apache-2.0
"""Photographs of the starter head with a planted texture and light: all of it is known."""

from functools import cache
from pathlib import Path

import numpy as np

from mien_server.avatar.texture import PhotographedHead, face_atlas
from mien_server.rendering import Topology, make_scene, pixels_from_image, project, style_maps
from mien_server.rendering.lighting import SH_CONSTANTS
from mien_server.rendering.maps import LAMBERTIAN, NORMALS

HEAD = Path(__file__).parents[3] / "starter" / "weights" / "head.npz"
BACKGROUND = np.float32([1.0, 0.0, 1.0])
EVEN_LIGHT = np.zeros((9, 3), np.float32)
EVEN_LIGHT[0] = 1 / SH_CONSTANTS[0]  # shading 1 everywhere
SKIN = np.float32([0.8, 0.6, 0.5])


@cache
def asset():
    with np.load(HEAD) as arrays:
        return {name: arrays[name] for name in arrays.files}


@cache
def topology():
    return Topology(asset()["f"], asset()["vt"], asset()["ft"])


def mean_head():
    return asset()["v_template"]


@cache
def mean_landmarks():
    faces, weights = asset()["full_lmk_faces_idx"][0], asset()["full_lmk_bary_coords"][0]
    return np.einsum("nk,nkc->nc", weights, mean_head()[asset()["f"][faces]])


@cache
def atlas(size=256):
    return face_atlas(topology(), mean_head(), mean_landmarks(), size)


def turned(yaw_deg):
    """The mean head; positive yaw turns its face to the image's right."""
    angle = np.deg2rad(yaw_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return (mean_head() @ turn.T).astype(np.float32)


def pattern(size=256, seed=0):
    """(S, S, 3) smooth colours that tell every place of the texture from its surroundings."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size * 2 * np.pi
    waves = [
        np.sin(a * rows + b * columns + c)
        for a, b, c in generator.uniform((2, 2, 0), (7, 7, 6), (3, 3))
    ]
    return (0.5 + 0.2 * np.stack(waves, axis=-1)).astype(np.float32)


def plain(colour=SKIN, size=256):
    return np.broadcast_to(np.float32(colour), (size, size, 3)).copy()


def photograph(albedo, *, yaw_deg=0.0, light=EVEN_LIGHT, size=400, hair=None):
    """The head before a magenta wall, and the fit that belongs to it: the truth."""
    vertices = turned(yaw_deg)
    camera = np.float32([[6.5, 0.0, 0.01]])
    scene = make_scene(
        vertices[None], albedo.transpose(2, 0, 1)[None], camera, light[None], topology()
    )
    (maps,) = style_maps(scene, size)
    shown = maps[NORMALS].any(axis=0)[..., None]
    image = np.where(shown, maps[LAMBERTIAN].transpose(1, 2, 0), BACKGROUND)
    seen = project(vertices[None], camera)[0]
    pixels = pixels_from_image(seen, width=size, height=size)
    return PhotographedHead(
        np.rint(image.clip(0, 1) * 255).astype(np.uint8),
        vertices,
        np.column_stack([pixels, seen[:, 2:] * size / 2]).astype(np.float32),
        light,
        hair,
    )
