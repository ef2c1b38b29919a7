# SPDX-License-Identifier: Apache-2.0
"""Templates like a recogniser's: strangers' cosines about 0 +- 0.05, a person's own about 0.67."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["people", "unit"]


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """(..., D) brought to unit length."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def people(count: int, per: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """(count, per, 512) templates: `per` photographs each of `count` people."""
    random = np.random.default_rng(seed)
    # Directions differ in how much faces vary along them.
    spread = (np.arange(512, dtype=np.float32) + 1) ** -0.25
    centres = unit(random.standard_normal((count, 1, 512), np.float32) * spread)
    photographs = random.standard_normal((count, per, 512), np.float32)
    return unit(centres + photographs * np.float32(0.7 / 512**0.5))
