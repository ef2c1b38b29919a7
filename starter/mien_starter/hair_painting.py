# SPDX-License-Identifier: Apache-2.0
"""Hair painted over in crops, so that a segmenter does not learn the one kind that is rendered.

Rendered hair has one pattern and few colours, and seldom lies on the forehead. Painted hair has any
natural colour, streaks that run any way, its own light and shade, and perhaps a fringe.

Letters  S side of a crop.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.world.masks import BODY, HAIR

__all__ = ["painted_hair", "with_fringe"]

Array = NDArray[np.float32]

# sRGB from black over brown to blond, red, grey and white.
_TONES = np.array(
    [
        (18, 15, 14), (44, 30, 22), (84, 56, 36), (128, 88, 52), (176, 134, 84), (214, 182, 132),
        (130, 60, 30), (120, 116, 112), (206, 202, 198),
    ],
    np.float32,
)  # fmt: skip
_BROWS = slice(17, 27)
_NOSE_BASE = 33
# Where a fringe ends, in thirds of the face above the brows.
_FRINGE_ENDS = (-0.15, 0.7)
_STREAK_PX = (7, 25)
_DIRECTIONS = 3  # of streaks in one crop, each where a smooth field is largest


def with_fringe(
    classes: NDArray[np.uint8], landmarks_68: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(S, S) classes with hair over a part of the forehead, its end a slanted arc.

    Args:
        classes: (S, S) of `mien_starter.world.masks`.
        landmarks_68: (68, 2) pixels of the crop, upright.
        rng: of the arc.
    """
    brows = landmarks_68[_BROWS]
    third = float(landmarks_68[_NOSE_BASE, 1] - brows[:, 1].mean())
    middle, width = float(brows[:, 0].mean()), float(np.ptp(brows[:, 0]))
    rows, columns = np.mgrid[: classes.shape[0], : classes.shape[1]].astype(np.float32)
    beside = (columns - middle) / width
    end = brows[:, 1].min() - third * rng.uniform(*_FRINGE_ENDS)
    end = end + third * (rng.normal(0, 0.3) * beside + rng.uniform(-0.4, 0.6) * beside**2)
    ragged = cv2.GaussianBlur(rng.normal(0, 1, (1, classes.shape[1])), (0, 0), 2.0)[0]
    end = end + 0.25 * third * rng.uniform(0, 1) * ragged
    covered = (classes == BODY) & (rows < end) & (np.abs(beside) < rng.uniform(0.55, 0.8))
    fringed: NDArray[np.uint8] = np.where(covered, HAIR, classes).astype(np.uint8)
    return fringed


def painted_hair(
    crop: NDArray[np.uint8], classes: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(S, S, 3) the crop with other hair where the classes have hair.

    Args:
        crop: (S, S, 3) RGB.
        classes: (S, S) of `mien_starter.world.masks`.
        rng: of colour, streaks and light.
    """
    side = crop.shape[0]
    hair = (classes == HAIR).astype(np.float32)
    first, second = _TONES[rng.integers(len(_TONES), size=2)]
    tone = first + (second - first) * rng.uniform(0, 0.5) + rng.normal(0, 8, 3)
    shade = 1 + rng.uniform(0.05, 0.35) * _streaks(side, rng)
    shade *= 1 + rng.uniform(0.1, 0.5) * _smooth(side, side / 5, rng)
    if hair.any() and rng.random() < 0.5:  # the rendered light stays
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
        shade *= (grey + 10) / (float(grey[hair > 0].mean()) + 10)
    painted = np.clip(tone.astype(np.float32) * shade[..., None], 0, 255)
    cover = cv2.GaussianBlur(hair, (0, 0), rng.uniform(0.4, 1.4))[..., None]
    mixed: NDArray[np.uint8] = np.rint(crop * (1 - cover) + painted * cover).astype(np.uint8)
    return mixed


def _streaks(side: int, rng: np.random.Generator) -> Array:
    """(S, S) lines of a few directions, about zero mean and unit variance."""
    fields = np.stack([_smooth(side, side / 6, rng) for _ in range(_DIRECTIONS)])
    chosen = fields.argmax(axis=0)
    noise = rng.normal(0, 1, (side, side)).astype(np.float32)
    length = int(rng.integers(*_STREAK_PX))
    lined = np.stack([cv2.filter2D(noise, -1, _line(length, rng)) for _ in range(_DIRECTIONS)])
    streaks = np.take_along_axis(lined, chosen[None], axis=0)[0]
    streaks = cv2.GaussianBlur(streaks, (0, 0), rng.uniform(0.4, 1.0))
    return np.asarray(streaks / max(float(streaks.std()), 1e-6), np.float32)


def _line(length: int, rng: np.random.Generator) -> Array:
    """A kernel that blurs along one direction."""
    kernel = np.zeros((length, length), np.float32)
    angle, half = rng.uniform(0, math.pi), (length - 1) / 2
    reach = np.array([math.cos(angle), math.sin(angle)]) * half
    start, end = (tuple(np.rint(half + sign * reach).astype(int).tolist()) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(kernel / kernel.sum())


def _smooth(side: int, reach_px: float, rng: np.random.Generator) -> Array:
    """(S, S) noise that changes over so many pixels, of about unit variance."""
    count = max(round(side / reach_px), 2) + 1
    coarse = rng.normal(0, 1, (count, count)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
