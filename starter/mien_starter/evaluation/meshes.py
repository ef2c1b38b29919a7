# SPDX-License-Identifier: Apache-2.0
"""Distances between heads of one topology, after what says nothing about the shape is taken off.

Follows the NoW benchmark (Sanyal et al. 2019, *Learning to Regress 3D Face Shape and Expression
from an Image without 3D Supervision*, section 5), which turns, shifts and scales predictions onto
the truth, and its metrical variant (Zielonka et al. 2022, section 5), which does not scale. NoW
measures from scan points to the nearest point of the mesh; here every vertex of the face has its
counterpart, so distances are vertex to vertex, which are never smaller.

Letters  V vertices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mesh_error_mm", "rigidly_aligned"]

Array = NDArray[np.float64]

_MM = 1000.0


def rigidly_aligned(
    moving: NDArray[Any], fixed: NDArray[Any], face: NDArray[np.bool_], *, scaled: bool = False
) -> Array:
    """Rotate and shift a mesh onto another one, never mirror it (Umeyama 1991).

    Args:
        moving: (V, 3).
        fixed: (V, 3).
        face: (V,) vertices whose squared distances are made small.
        scaled: change its size, too.

    Returns:
        (V, 3) the moved mesh.
    """
    moving, fixed = np.asarray(moving, np.float64), np.asarray(fixed, np.float64)
    centre, target = moving[face].mean(axis=0), fixed[face].mean(axis=0)
    apart = moving - centre
    u, lengths, vt = np.linalg.svd((fixed[face] - target).T @ apart[face])
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = (lengths @ sign) / np.square(apart[face]).sum() if scaled else 1.0
    aligned: Array = scale * apart @ rotation.T + target
    return aligned


def mesh_error_mm(
    found: NDArray[Any], truth: NDArray[Any], face: NDArray[np.bool_], *, scaled: bool = False
) -> float:
    """Mean distance of the face's vertices from where they should be, after rigid alignment.

    Args:
        found: (V, 3) metres.
        truth: (V, 3) metres.
        face: (V,) the vertices that count.
        scaled: forgive a wrong size, which an orthographic camera hides.

    Returns:
        Millimetres.
    """
    aligned = rigidly_aligned(found, truth, face, scaled=scaled)
    return float(np.linalg.norm(aligned[face] - truth[face], axis=1).mean() * _MM)
