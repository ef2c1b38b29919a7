# SPDX-License-Identifier: Apache-2.0
"""Where a head model ends: the open edge of its neck.

Letters  V vertices, F triangles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["distance_from_neckline"]

Array = NDArray[Any]


def distance_from_neckline(vertices: Array, faces: Array) -> NDArray[np.float32]:
    """How far each vertex lies from the edge of the neck, the lowest open edge of the mesh.

    Args:
        vertices: (V, 3) metres, y up.
        faces: (F, 3).

    Returns:
        (V,) metres; infinity where no edge is open.
    """
    edges, uses = np.unique(
        np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1),
        axis=0,
        return_counts=True,
    )
    open_edges = edges[uses == 1]
    if not len(open_edges):
        return np.full(len(vertices), np.inf, np.float32)
    loop = np.arange(len(vertices))
    while True:
        lowest = loop[open_edges].min(axis=1, keepdims=True)
        spread = loop.copy()
        np.minimum.at(spread, open_edges, np.broadcast_to(lowest, open_edges.shape))
        if (spread == loop).all():
            break
        loop = spread
    members = np.unique(open_edges)
    heights = {n: vertices[members[loop[members] == n], 1].mean() for n in np.unique(loop[members])}
    edge = vertices[members[loop[members] == min(heights, key=lambda n: heights[n])]]
    squares = ((vertices[:, None] - edge[None]) ** 2).sum(axis=2)
    return np.asarray(np.sqrt(squares.min(axis=1)), np.float32)
