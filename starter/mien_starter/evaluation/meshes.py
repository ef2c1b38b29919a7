# SPDX-License-Identifier: Apache-2.0
"""Distances between heads of one topology, after what says nothing about the shape is taken off.

Follows the NoW benchmark (Sanyal et al. 2019, *Learning to Regress 3D Face Shape and Expression
from an Image without 3D Supervision*, section 5): predictions are laid onto the truth rigidly,
without scaling, and distances are metric. NoW measures from scan points to the nearest point of the
mesh; here every vertex of the face has its counterpart, so distances are vertex to vertex, which
are never smaller.

Letters  V vertices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mesh_error_mm", "rigidly_aligned"]

Array = NDArray[np.float64]

_MM = 1000.0


def rigidly_aligned(moving: NDArray[Any], fixed: NDArray[Any], face: NDArray[np.bool_]) -> Array:
    """Rotate and shift a mesh onto another one, never scale or mirror it (Umeyama 1991).

    Args:
        moving: (V, 3).
        fixed: (V, 3).
        face: (V,) vertices whose squared distances are made small.

    Returns:
        (V, 3) the moved mesh.
    """
    moving, fixed = np.asarray(moving, np.float64), np.asarray(fixed, np.float64)
    centre, target = moving[face].mean(axis=0), fixed[face].mean(axis=0)
    u, _, vt = np.linalg.svd((fixed[face] - target).T @ (moving[face] - centre))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    aligned: Array = (moving - centre) @ rotation.T + target
    return aligned


def mesh_error_mm(found: NDArray[Any], truth: NDArray[Any], face: NDArray[np.bool_]) -> float:
    """Mean distance of the face's vertices from where they should be, after rigid alignment.

    Args:
        found: (V, 3) metres.
        truth: (V, 3) metres.
        face: (V,) the vertices that count.

    Returns:
        Millimetres.
    """
    aligned = rigidly_aligned(found, truth, face)
    return float(np.linalg.norm(aligned[face] - truth[face], axis=1).mean() * _MM)
