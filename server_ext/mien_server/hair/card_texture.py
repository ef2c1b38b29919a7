# SPDX-License-Identifier: Apache-2.0
"""The picture of hairs that lies on cards: transparent between them, grey, to be tinted.

256 x 256 RGBA. Row 0, at v = 1, is at the roots. Three strips for cards stand side by side, from
dense to loose; a fourth, for the scalp between the cards, goes from covered (v = 1) to bare.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["SCALP_STRIP", "SIDE_PX", "STRIPS", "card_texture", "card_texture_png"]

SIDE_PX = 256
_STRIP_PX = 64
# u of the left and right edge of each, 1.5 pixels inside, so that none bleeds into the next.
*STRIPS, SCALP_STRIP = (
    ((left + 1.5) / SIDE_PX, (left + _STRIP_PX - 1.5) / SIDE_PX)
    for left in range(0, SIDE_PX, _STRIP_PX)
)

_HAIRS = (64, 46, 32)  # in each strip
_FINER = 4  # samples per pixel across; hairs are thinner than pixels
_SEED = 20


@cache
def card_texture() -> NDArray[np.uint8]:
    """(256, 256, 4) RGBA, the same each time; not to be written to."""
    generator = np.random.default_rng(_SEED)
    strips = [_strip(hairs, generator) for hairs in _HAIRS]
    strips.append(_scalp_strip(generator))
    texture = np.concatenate(strips, axis=1)
    texture.flags.writeable = False
    return texture


@cache
def card_texture_png() -> bytes:
    """The texture as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(card_texture(), "RGBA").save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _strip(hairs: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """(256, 64, 4) hairs from top to bottom that wander a little and end one by one."""
    width = _STRIP_PX * _FINER
    down = np.linspace(0, 1, SIDE_PX)
    across = np.arange(width)
    cover, tone = np.zeros((SIDE_PX, width)), np.full((SIDE_PX, width), 0.72)
    # The middle of the strip is laid last, on top, and its hairs are the longest.
    starts = generator.permutation(np.linspace(0.03, 0.97, hairs))
    starts = starts[np.argsort(-np.abs(starts - 0.5) + generator.normal(0, 0.12, hairs))]
    for start in starts:
        gathers = 1 - 0.12 * down**2  # towards the middle
        wander = (
            generator.normal(0, 0.03)
            * np.sin(generator.uniform(0, 6.3) + generator.uniform(3, 8) * down)
            * np.minimum(1, 4 * down)
        )
        middle = (0.5 + (start - 0.5) * gathers + wander) * width
        begin = 0.05 * generator.random() ** 2 * (0.4 + 1.2 * abs(start - 0.5))
        end = 1 - 0.30 * generator.random() ** 2 * (0.35 + 1.3 * abs(start - 0.5))
        ends = np.clip((end - down) / 0.16, 0, 1) * np.clip((down - begin) / 0.01, 0, 1)
        thick = generator.uniform(1.0, 2.0) * _FINER * ends**0.6
        profile = np.clip(thick[:, None] / 2 + 0.5 - np.abs(across - middle[:, None]), 0, 1)
        bright = generator.uniform(0.62, 1.0) * (1 + 0.06 * np.sin(9 * down + start * 40))
        round_ = 1 - 0.25 * (np.abs(across - middle[:, None]) / np.maximum(thick[:, None], 1)) ** 2
        tone = tone * (1 - profile) + profile * bright[:, None] * np.clip(round_, 0.5, 1)
        cover = np.maximum(cover, profile)
    return _packed(tone, cover)


def _scalp_strip(generator: np.random.Generator) -> NDArray[np.uint8]:
    """(256, 64, 4) stubble that thins out downwards, in an order of its own."""
    width = _STRIP_PX * _FINER
    noise = generator.random((SIDE_PX // 4, width // 4))
    noise = np.kron(noise, np.ones((4, 4)))
    left = np.linspace(1.3, -0.3, SIDE_PX)[:, None]
    cover = np.clip((left - noise) * 4 + 0.5, 0, 1)
    tone = 0.55 + 0.15 * generator.random((SIDE_PX, width))
    return _packed(tone, cover)


def _packed(tone: NDArray[np.float64], cover: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Averaged to pixels; where there is no hair, the colour is that of hair all the same."""
    alpha = cover.reshape(SIDE_PX, _STRIP_PX, _FINER).mean(axis=2)
    weighted = (tone * cover).reshape(SIDE_PX, _STRIP_PX, _FINER).mean(axis=2)
    usual = float(weighted.sum() / alpha.sum())
    grey = np.where(alpha > 0.02, weighted / np.maximum(alpha, 0.02), usual)
    rgba = np.stack([grey, grey, grey, alpha], axis=2)
    return np.asarray(np.round(255 * np.clip(rgba, 0, 1)), np.uint8)
