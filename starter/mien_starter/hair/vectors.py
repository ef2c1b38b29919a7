# SPDX-License-Identifier: Apache-2.0
"""Unit vectors, and frames that are carried along curves without twisting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["carried", "unit"]

Array = npt.NDArray[np.float64]


def unit(vectors: npt.ArrayLike) -> Array:
    """Along the last axis; what has no length stays 0."""
    rows = np.asarray(vectors, np.float64)
    length = np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return np.asarray(rows / np.maximum(length, 1e-9))


def carried(first: Array, ahead: Array) -> Array:
    """Carry a vector along a curve, always across it.

    Args:
        first: (..., 3) at the start.
        ahead: (..., P, 3) unit tangents.

    Returns:
        (..., P, 3) unit vectors across the curve.
    """
    across = np.empty_like(ahead)
    current = first
    for index in range(ahead.shape[-2]):
        tangent = ahead[..., index, :]
        current = unit(current - (current * tangent).sum(axis=-1, keepdims=True) * tangent)
        across[..., index, :] = current
    return across
