# SPDX-License-Identifier: Apache-2.0
"""Improved recall, and its extension to classes: how much of real pictures generated ones cover.

Papers   Kynkäänniemi et al. 2019, *Improved Precision and Recall Metric for Assessing Generative
         Models*, equations 1 and 2 (k = 3); MorphFace, section C.3, equations 12 and 13.
Letters  R real pictures, G generated ones, D length of a feature vector.

A real picture is covered if it lies nearer to some generated one than that one's k-th nearest
generated neighbour does, itself not counted. The comparison is strict, as in equation 12.

As printed, equation 13 divides by the number of classes although it has divided by the number of
pictures already, and could not exceed 1 / C; the paper's values are about a half. It is read as the
share of covered pictures among all, which is the mean of the classes' shares where all classes have
equally many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEIGHBOURS", "are_covered"]

NEIGHBOURS = 3  # k; MorphFace does not say its own


def are_covered(
    real: NDArray[Any], generated: NDArray[Any], k: int = NEIGHBOURS
) -> NDArray[np.bool_]:
    """Which real pictures the generated ones cover; their mean is the improved recall.

    Args:
        real: (R, D) features.
        generated: (G, D) features, G > k.
        k: whose distance is the radius about a generated picture.

    Returns:
        (R,).

    Raises:
        ValueError: k is not from 1 to G - 1, or the features differ in length.
    """
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"features are {real.shape} and {generated.shape}; expected (R, D) and (G, D)"
        )
    if not 1 <= k < len(generated):
        raise ValueError(
            f"k is {k} with {len(generated)} generated pictures; it must be from 1 to one less "
            "than there are. Generate more, or take a smaller k"
        )
    among = _distances(generated, generated)
    np.fill_diagonal(among, np.inf)
    radii = np.partition(among, k - 1, axis=1)[:, k - 1]
    covered: NDArray[np.bool_] = (_distances(real, generated) < radii).any(axis=1)
    return covered


def _distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """(A, B) Euclidean, row by row: the expanded square would lose what near points differ in."""
    b = np.asarray(b, np.float64)
    return np.stack([np.linalg.norm(b - row, axis=1) for row in np.asarray(a, np.float64)])
