# SPDX-License-Identifier: Apache-2.0
"""What happens to photographs on their way: light, colours, blur, few pixels, noise, JPEG, hands.

All functions take and give (H, W, 3) uint8 RGB and draw from the generator they are given.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Degradation", "degraded"]

Image = NDArray[np.uint8]

_NOISE_LENGTH = 1 << 20


@dataclass(frozen=True)
class Degradation:
    """Probability of each kind.

    Attributes:
        occlusion: rectangles of one colour, of noise, or of another part of the image.
        colour: brightness, contrast, gamma and balance of the channels.
        grey: no colour at all.
        blur: out of focus, or moved.
        low_resolution: fewer pixels than the image has.
        noise: of a sensor.
        jpeg: compressed hard.
    """

    occlusion: float = 0.0
    colour: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    low_resolution: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0


def degraded(image: Image, kinds: Degradation, rng: np.random.Generator) -> Image:
    """One of the ways in which the image could have arrived."""
    steps = (
        (kinds.occlusion, _occluded),
        (kinds.colour, _recoloured),
        (kinds.grey, _grey),
        (kinds.blur, _blurred),
        (kinds.low_resolution, _enlarged),
        (kinds.noise, _noisy),
        (kinds.jpeg, _compressed),
    )
    chances = rng.random(len(steps))
    for (probability, change), chance in zip(steps, chances, strict=True):
        if chance < probability:
            image = change(image, rng)
    return image


def _occluded(image: Image, rng: np.random.Generator) -> Image:
    image = image.copy()
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        h = int(height * rng.uniform(0.06, 0.35))
        w = int(width * rng.uniform(0.06, 0.35))
        top, left = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        patch = image[top : top + h, left : left + w]
        kind = rng.integers(3)
        if kind == 0:
            patch[:] = rng.integers(0, 256, 3)
        elif kind == 1:
            patch[:] = rng.integers(0, 256, patch.shape)
        else:
            y, x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
            patch[:] = image[y : y + h, x : x + w].copy()
    return image


def _recoloured(image: Image, rng: np.random.Generator) -> Image:
    steps = np.arange(256) / 255
    gains = np.exp(rng.normal(0.0, 0.25) + rng.normal(0.0, 0.08, 3))
    gamma, contrast = np.exp(rng.normal(0.0, 0.2)), np.exp(rng.normal(0.0, 0.2))
    level = rng.normal(0.0, 0.06)
    curves = (steps[:, None] ** gamma * gains - 0.5) * contrast + 0.5 + level
    table = np.clip(curves * 255, 0, 255).astype(np.uint8)[None]  # (1, 256, 3)
    changed: Image = cv2.LUT(image, table)
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = rng.uniform(-0.4, 0.7)  # negative ones strengthen the colours
        changed = cv2.addWeighted(changed, 1 - share, grey, share, 0.0)
    return changed


def _grey(image: Image, rng: np.random.Generator) -> Image:
    weights = rng.dirichlet((6.0, 12.0, 3.0))  # films differ in what they see
    grey = cv2.transform(image, weights[None].astype(np.float32))
    result: Image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    return result


def _blurred(image: Image, rng: np.random.Generator) -> Image:
    sigma = rng.uniform(0.4, 2.2) * image.shape[0] / 128
    result: Image
    if rng.random() < 0.7:
        result = cv2.GaussianBlur(image, (0, 0), sigma)
        return result
    length = 2 * int(sigma * 1.5) + 3
    kernel = np.zeros((length, length), np.float32)
    middle, angle = length // 2, rng.uniform(0, np.pi)
    end = middle * np.array([np.cos(angle), np.sin(angle)])
    start, stop = (tuple(round(middle + sign * v) for v in end) for sign in (-1, 1))
    cv2.line(kernel, start, stop, 1.0)
    result = cv2.filter2D(image, -1, kernel / kernel.sum())
    return result


def _enlarged(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    factor = rng.uniform(0.25, 0.8)
    small = cv2.resize(
        image, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA
    )
    how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[rng.choice(3, p=(0.5, 0.4, 0.1))]
    result: Image = cv2.resize(small, (width, height), interpolation=how)
    return result


def _noisy(image: Image, rng: np.random.Generator) -> Image:
    start = int(rng.integers(_NOISE_LENGTH - image.size))
    noise = _noise()[start : start + image.size].reshape(image.shape)
    if rng.random() < 0.3:
        noise = noise[..., :1]  # of brightness alone
    strength = np.float32(rng.uniform(2.0, 14.0))
    return np.clip(image + noise * strength, 0, 255).astype(np.uint8)


@functools.cache
def _noise() -> NDArray[np.float32]:
    # Drawing normal numbers costs more than all the rest; pieces of one long row will do.
    return np.random.default_rng(0).standard_normal(_NOISE_LENGTH, np.float32)


def _compressed(image: Image, rng: np.random.Generator) -> Image:
    quality = int(rng.integers(18, 85))
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    result: Image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return result
