# SPDX-License-Identifier: Apache-2.0
"""Parts of a closed mesh, and smoothing it. V vertices, F triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["averaged", "part_of_vertex", "smoothed", "solid_parts"]

# Taubin 1995: a step in, a larger one out; what is smooth keeps its size.
_IN, _OUT = 0.5, -0.53
_ROUNDS = 8


def part_of_vertex(faces: NDArray[np.int32], vertex_count: int) -> NDArray[np.int64]:
    """(V,) the lowest vertex of the part that each belongs to; parts share no vertex."""
    label = np.arange(vertex_count)
    while True:
        lowest = label[faces].min(axis=1)
        before = label.copy()
        for corner in range(3):
            np.minimum.at(label, faces[:, corner], lowest)
        label = label[label]  # a label of a label is one too, and nearer to the end
        if (label == before).all():
            return np.asarray(label)


def solid_parts(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], *, smallest: float
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Without cavities, which are surfaces inside out, and without crumbs.

    Args:
        vertices: (V, 3).
        faces: (F, 3) closed, counter-clockwise from outside.
        smallest: volume of a part that stays, as a share of the largest.

    Returns:
        The vertices that are left, and the triangles of them.
    """
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    volume_of_face = (a * np.cross(b, c)).sum(axis=1) / 6
    part = part_of_vertex(faces, len(vertices))[faces[:, 0]]
    volume = np.bincount(part, volume_of_face, len(vertices))
    kept = faces[volume[part] >= max(smallest * volume.max(), 1e-12)]
    used, renumbered = np.unique(kept, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3).astype(np.int32)


def smoothed(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Vertices of a closed mesh, smoother; its volume stays nearly the same."""
    places = vertices
    for _ in range(_ROUNDS):
        for amount in (_IN, _OUT):
            places = places + amount * (averaged(places, faces) - places)
    return places


def averaged(values: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """(V, K) means of values (V, K) over the neighbours of each vertex of a closed mesh."""
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)  # each edge in either direction
    count = np.bincount(start, minlength=len(values))
    sums = [np.bincount(start, column[end], len(values)) for column in values.T]
    return np.asarray(np.stack(sums, axis=1) / np.maximum(count, 1)[:, None])
