# SPDX-License-Identifier: Apache-2.0
"""Hairs as thin ribbons that face the viewer, for a renderer of triangles.

Letters  S hairs, P points of each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ribbons", "segment_of"]


def ribbons(
    hairs: npt.ArrayLike, width_m: npt.ArrayLike, *, taper: float = 1.0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Two triangles for each segment of each hair.

    Args:
        hairs: (S, P, 3) metres as the viewer sees them: x to the right, y up, z to the viewer.
        width_m: of a ribbon, one for all or (S,).
        taper: what is left of the width at the tip; it starts in the last fifth.

    Returns:
        (2 S P, 3) vertices, and (2 S (P - 1), 3) triangles in the order of `segment_of`.
    """
    points = np.asarray(hairs, np.float32)
    count, size, _ = points.shape
    if count == 0:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    ahead = np.gradient(points[..., :2], axis=1)
    across = np.stack([-ahead[..., 1], ahead[..., 0]], axis=-1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    thin = 1 - (1 - taper) * np.clip(5 * np.linspace(0, 1, size) - 4, 0, 1)
    half = np.broadcast_to(np.asarray(width_m, np.float32), (count,))[:, None] / 2 * thin
    across *= half[..., None].astype(np.float32)
    both = np.repeat(points[:, :, None], 2, axis=2)
    both[:, :, 0, :2] -= across
    both[:, :, 1, :2] += across
    first = (np.arange(count)[:, None] * size + np.arange(size - 1)) * 2
    corners = [first, first + 1, first + 2, first + 1, first + 3, first + 2]
    return both.reshape(-1, 3), np.stack(corners, -1).reshape(-1, 3).astype(np.int32)


def segment_of(
    triangle: npt.NDArray[np.int32], points: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hair and segment of triangles of `ribbons` whose hairs have so many points."""
    hair, segment = np.divmod(triangle.astype(np.int64) // 2, max(points - 1, 1))
    return hair, segment
