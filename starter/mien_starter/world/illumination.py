# SPDX-License-Identifier: Apache-2.0
"""Draws lights and expresses them as DECA's nine spherical-harmonics coefficients per colour."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_server.rendering.lighting import sh_basis

Array = npt.NDArray[Any]


def draw_light(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(9, 3) light: a sky, a key light and sometimes a second one, of slightly different colours.

    Mean shading over what faces the camera is 0.55 to 1.15.
    """
    normals, inverse = _fit()
    up = normals[:, 1:2]
    sky = _tint(rng, 0.06) * (0.6 + 0.25 * rng.uniform() * up)
    shade = sky * rng.uniform(0.25, 1.0)
    for strength in (rng.uniform(0.2, 1.0), rng.uniform(0, 0.6) * (rng.random() < 0.4)):
        azimuth, height = rng.uniform(-110, 110), rng.normal(25, 25)
        direction = _direction(azimuth, float(np.clip(height, -35, 85)))
        shade = shade + strength * _tint(rng, 0.10) * np.clip(normals @ direction, 0, None)[:, None]
    light = inverse @ shade
    front = normals[:, 2] > 0.3
    mean = float((sh_basis(normals[front]) @ light).mean())
    return np.asarray(light * rng.uniform(0.55, 1.15) / mean, np.float32)


def studio_light() -> npt.NDArray[np.float32]:
    """(9, 3) one even, slightly directional white light: for sheets and documents."""
    normals, inverse = _fit()
    key = np.clip(normals @ _direction(25, 35), 0, None)
    shade = (0.45 + 0.10 * normals[:, 1] + 0.55 * key)[:, None].repeat(3, axis=1)
    return np.asarray(inverse @ shade, np.float32)


def _tint(rng: np.random.Generator, deviation: float) -> Array:
    warm = rng.normal(0, deviation)
    return np.asarray([1 + warm, 1.0, 1 - warm] * rng.normal(1, 0.02, 3))


def _direction(azimuth_deg: float, height_deg: float) -> Array:
    a, h = np.deg2rad(azimuth_deg), np.deg2rad(height_deg)
    return np.array([np.sin(a) * np.cos(h), np.sin(h), np.cos(a) * np.cos(h)])


@lru_cache(maxsize=1)
def _fit() -> tuple[Array, Array]:
    """Normals all over the sphere, and the matrix that fits coefficients to a shading over them."""
    count = 800
    index = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    normals = np.stack(
        [np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], axis=1
    )
    return normals, np.linalg.pinv(sh_basis(normals).astype(np.float64))
