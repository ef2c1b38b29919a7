# SPDX-License-Identifier: Apache-2.0
"""Errors of landmarks, as 300-W gives them: in distances between the outer corners of the eyes.

Letters  N faces, P landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LandmarkFigures", "landmark_errors", "landmark_figures"]

FAILURE = 0.08  # of the distance between the eyes, Sagonas et al. 2013


@dataclass(frozen=True)
class LandmarkFigures:
    """Normalised mean errors of many faces, in shares of the distance between the eyes.

    Attributes:
        mean: over faces.
        percentile_90: nine of ten faces have a smaller one.
        failure_rate: share of faces whose error is above 0.08.
    """

    mean: float
    percentile_90: float
    failure_rate: float


def landmark_errors(
    found: NDArray[Any], truth: NDArray[Any], truth_68: NDArray[Any]
) -> NDArray[np.float64]:
    """Normalised mean error of each face.

    Args:
        found: (N, P, 2) pixels.
        truth: (N, P, 2) pixels.
        truth_68: (N, 68, 2) true landmarks, for the distance between the eyes.

    Returns:
        (N,) mean distance over the landmarks of a face, in distances between its eyes.
    """
    eyes = np.linalg.norm(truth_68[:, 45] - truth_68[:, 36], axis=1)
    distance = np.linalg.norm(np.asarray(found, np.float64) - truth, axis=2)
    errors: NDArray[np.float64] = distance.mean(axis=1) / eyes
    return errors


def landmark_figures(errors: NDArray[Any]) -> LandmarkFigures:
    """Summarise (N,) errors."""
    return LandmarkFigures(
        mean=float(errors.mean()),
        percentile_90=float(np.percentile(errors, 90)),
        failure_rate=float((errors > FAILURE).mean()),
    )
