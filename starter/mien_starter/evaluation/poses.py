# SPDX-License-Identifier: Apache-2.0
"""Angles between rotations.

Letters  N heads. Rotations are axis-angle, radians.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pose_errors_deg"]


def pose_errors_deg(found: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """How far each of (N, 3) rotations must be turned to become the other: (N,) degrees, 0..180."""
    product = _quaternions(found) * _quaternions(truth)
    # The angle between unit quaternions is half that between rotations; q and -q are the same one.
    cosine = np.clip(np.abs(product.sum(axis=1)), 0.0, 1.0)
    angles: NDArray[np.float64] = np.rad2deg(2 * np.arccos(cosine))
    return angles


def _quaternions(axis_angle: NDArray[Any]) -> NDArray[np.float64]:
    vectors = np.asarray(axis_angle, np.float64)
    half = np.linalg.norm(vectors, axis=1, keepdims=True) / 2
    # sin(x) / x, finite at zero; numpy's sinc has a pi in it.
    return np.concatenate([np.cos(half), vectors / 2 * np.sinc(half / np.pi)], axis=1)
