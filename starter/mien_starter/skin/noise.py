# SPDX-License-Identifier: Apache-2.0
"""Smooth random fields over the head's surface: sums of waves in space, so that no seam shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WAVES = 40


def fields_on_head(position: Array, *, seed: int, count: int = 4, size_mm: float = 22.0) -> Array:
    """(count, ...) fields of about unit variance at points (..., 3) in metres.

    Args:
        position: (..., 3) metres.
        seed: the same seed gives the same fields.
        count: how many.
        size_mm: typical wavelength; each field is finer than the one before.
    """
    rng = np.random.default_rng(seed)
    result = []
    for index in range(count):
        wavelength = size_mm / 1000 / 1.5**index
        direction = rng.normal(size=(WAVES, 3))
        direction *= 2 * np.pi / wavelength / np.linalg.norm(direction, axis=1, keepdims=True)
        direction *= rng.uniform(0.5, 1.5, (WAVES, 1))
        phase = rng.uniform(0, 2 * np.pi, WAVES)
        waves = np.cos(position.astype(np.float64) @ direction.T + phase)
        result.append(waves.sum(axis=-1) * np.sqrt(2 / WAVES))
    return np.stack(result)
