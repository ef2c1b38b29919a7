# SPDX-License-Identifier: Apache-2.0
"""Backgrounds without a face: gradients, walls, blurred shapes, foliage-like noise."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def draw_background(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(size, size, 3) RGB 0..1."""
    image = _gradient(size, rng)
    for _ in range(int(rng.integers(0, 3))):
        image = _clouds(image, rng)
    for _ in range(int(rng.integers(0, 9))):
        image = _shape(image, rng)
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, size / 40)))
    return np.clip(image, 0, 1).astype(np.float32)


def _colour(rng: np.random.Generator) -> Array:
    value, saturation = rng.uniform(0.05, 1.0), rng.beta(1, 3)
    colour = cv2.cvtColor(
        np.array([[[rng.uniform(0, 360), saturation, value]]], np.float32), cv2.COLOR_HSV2RGB
    )
    return np.asarray(colour[0, 0])


def _gradient(size: int, rng: np.random.Generator) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    t = np.clip(0.5 + np.cos(angle) * x + np.sin(angle) * y, 0, 1)[..., None]
    return np.asarray((1 - t) * _colour(rng) + t * _colour(rng), np.float32)


def _clouds(image: Array, rng: np.random.Generator) -> Array:
    size = image.shape[0]
    cells = int(rng.choice([3, 5, 9, 17, 40, 80]))
    coarse = rng.uniform(0, 1, (cells, cells, 1)).astype(np.float32)
    field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    strength = rng.uniform(0.1, 0.7)
    return np.asarray(image * (1 - strength * field) + strength * field * _colour(rng))


def _shape(image: Array, rng: np.random.Generator) -> Array:
    size = image.shape[0]
    colour = tuple(float(v) for v in _colour(rng))
    x, y = rng.uniform(-0.1, 1.1, 2) * size
    w, h = rng.uniform(0.03, 0.6, 2) * size
    kind = rng.integers(3)
    canvas = np.ascontiguousarray(image, np.float32)
    if kind == 0:
        box = cv2.boxPoints(
            ((float(x), float(y)), (float(w), float(h)), float(rng.uniform(0, 180)))
        )
        cv2.fillPoly(canvas, [box.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == 1:
        axes = (int(w / 2), int(h / 2))
        cv2.ellipse(canvas, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    else:
        end = rng.uniform(-0.1, 1.1, 2) * size
        width = max(1, int(rng.uniform(0.004, 0.04) * size))
        start = (int(x), int(y))
        cv2.line(canvas, start, (int(end[0]), int(end[1])), colour, width, cv2.LINE_AA)
    return canvas
