# SPDX-License-Identifier: Apache-2.0
"""The head continued to neck and shoulders, for long hair to fall on and for pictures.

Letters  V vertices, F triangles, R vertices along the open edge of the neck.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["bust_of", "neck_rim"]

Array = npt.NDArray[Any]

# Rings below the open edge of the head's neck, metres: height, how much lower it is in front than
# in the middle, half the width, half the depth, and where the middle lies in depth.
_RINGS = (
    (-0.130, 0.022, 0.060, 0.056, -0.030),
    (-0.148, 0.020, 0.080, 0.066, -0.035),
    (-0.163, 0.015, 0.120, 0.078, -0.040),
    (-0.180, 0.008, 0.162, 0.090, -0.042),
    (-0.204, 0.002, 0.193, 0.100, -0.042),
    (-0.245, 0.000, 0.208, 0.108, -0.042),
    (-0.320, 0.000, 0.204, 0.115, -0.042),
    (-0.420, 0.000, 0.186, 0.112, -0.042),
    (-0.560, 0.000, 0.176, 0.105, -0.042),
)
_EXPONENT = 2.4  # of the superellipse that a ring is


def bust_of(vertices: npt.ArrayLike, faces: npt.ArrayLike) -> tuple[Array, Array]:
    """Head and bust as one mesh.

    Args:
        vertices: (V, 3) metres, the mean head or one near it.
        faces: (F, 3).

    Returns:
        Vertices, the first V of them the head's, and triangles, the first F of them the head's.
    """
    points, triangles = np.asarray(vertices, np.float64), np.asarray(faces)
    rim = neck_rim(points, triangles)
    edge = points[rim]
    turn = np.arctan2(edge[:, 0] / 0.055, (edge[:, 2] - edge[:, 2].mean()) / 0.05)
    sine, cosine = (np.sign(t) * np.abs(t) ** (2 / _EXPONENT) for t in (np.sin(turn), np.cos(turn)))
    rings = [
        np.stack([wide * sine, high - low * np.cos(turn), back + deep * cosine], axis=1)
        for high, low, wide, deep, back in _RINGS
    ]
    count = len(rim)
    rows = np.vstack([rim, len(points) + np.arange(count * len(rings)).reshape(-1, count)])
    above, below = rows[:-1], rows[1:]
    after, beneath = np.roll(above, -1, axis=1), np.roll(below, -1, axis=1)
    quads = [np.stack([above, below, beneath], -1), np.stack([above, beneath, after], -1)]
    added = np.concatenate([quad.reshape(-1, 3) for quad in quads])
    return np.concatenate([points, *rings]), np.concatenate([triangles, added])


def neck_rim(vertices: Array, faces: Array) -> Array:
    """(R,) vertices along the lowest open edge, in the order of the triangles' corners."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    known = {(a, b) for a, b in edges}
    following = {a: b for a, b in edges if (b, a) not in known}
    lowest = min(following, key=lambda vertex: float(vertices[vertex, 1]))
    loop = [lowest]
    while following[loop[-1]] != lowest:
        loop.append(following[loop[-1]])
    return np.array(loop)
