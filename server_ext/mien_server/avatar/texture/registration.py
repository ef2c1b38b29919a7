# SPDX-License-Identifier: Apache-2.0
"""Bends a fitted head onto the landmarks that were found, in the plane of the photograph.

A head model cannot be everybody, so brows, lids and lips of the fit lie a few pixels beside those
in the photograph, which is enough to paint the one onto the other. Landmarks say how far. Between
them the shift is the mean of a Gaussian process (Rasmussen and Williams 2006, *Gaussian Processes
for Machine Learning*, section 2.2): smooth, close to what the landmarks say where they agree, and
none far from all of them.

Letters  V vertices. Landmarks are the 68 of iBUG 300-W, in pixels of the photograph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["moved_onto_landmarks"]

Array = NDArray[Any]

# In distances of the outer corners of the eyes.
REACH = 0.35
EXPECTED_SHIFT = 0.06
POINT_ERROR = 0.02
# Along the contour there is nothing to tell one point from the next.
CONTOUR_ERROR = 0.05
CONTOUR = slice(0, 17)
EYE_CORNERS = (36, 45)


def moved_onto_landmarks(
    vertices_px: Array, fitted_landmarks: Array, found_landmarks: Array
) -> NDArray[np.float32]:
    """Shift vertices as the landmarks beside them are shifted.

    Args:
        vertices_px: (V, 3) x, y pixels of the photograph, and z, which stays.
        fitted_landmarks: (68, 2) where the fit has them.
        found_landmarks: (68, 2) where a landmarker found them; not finite where there is none, and
            then nothing moves.

    Returns:
        (V, 3) float32, a new array.

    Raises:
        ValueError: a shape that is not allowed.
    """
    fitted = np.asarray(fitted_landmarks, np.float64)
    found = np.asarray(found_landmarks, np.float64)
    if fitted.shape != (68, 2) or found.shape != (68, 2):
        raise ValueError(
            f"landmarks have shapes {fitted.shape} and {found.shape}; both must be (68, 2)"
        )
    moved = np.array(vertices_px, np.float32)
    unit = float(np.linalg.norm(fitted[EYE_CORNERS[1]] - fitted[EYE_CORNERS[0]]))
    if not np.isfinite(found).all() or not unit > 0:
        return moved
    error = np.full(68, POINT_ERROR / EXPECTED_SHIFT)
    error[CONTOUR] = CONTOUR_ERROR / EXPECTED_SHIFT
    gram = _likeness(fitted, fitted, unit) + np.diag(error**2)
    share = np.linalg.solve(gram, found - fitted)
    moved[:, :2] += (_likeness(moved[:, :2], fitted, unit) @ share).astype(np.float32)
    return moved


def _likeness(points: Array, others: Array, unit: float) -> Array:
    """How much the shift at one point says about that at another: 1 at the same place."""
    squares = np.square(points[:, None] - others[None]).sum(axis=-1)
    likeness: Array = np.exp(-0.5 * squares / (REACH * unit) ** 2)
    return likeness
