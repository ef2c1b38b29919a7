# SPDX-License-Identifier: Apache-2.0
"""Verification: similarity of two embeddings and the decision on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cosine_similarity", "is_match"]


def cosine_similarity(
    probes: NDArray[np.float32], references: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosine of each probe with the reference beside it, computed in float64.

    Args:
        probes: (N, D), any positive length.
        references: (N, D).

    Returns:
        (N,) in [-1, 1]; NaN where either vector is zero, infinite or NaN, so that it is no match
        under any threshold.
    """
    a, b = probes.astype(np.float64), references.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    clipped: NDArray[np.float32] = np.clip(cosine, -1.0, 1.0).astype(np.float32)
    return clipped


def is_match(
    similarity: NDArray[np.float32], threshold: float | NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(N,) similarity >= threshold, one for all or one each; false for NaN."""
    return similarity >= np.asarray(threshold, np.float32)
