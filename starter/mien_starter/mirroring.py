# SPDX-License-Identifier: Apache-2.0
"""Mirrored crops: what is left becomes right, so landmarks change places and names.

`LANDMARKS_68` and `LANDMARKS_5` say for every landmark which one of the unmirrored face stands in
its place (iBUG 300-W's order; five points in that of `mien_server.alignment`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LANDMARKS_5", "LANDMARKS_68", "mirrored_image", "mirrored_points"]

LANDMARKS_5 = np.array([1, 0, 2, 4, 3])
LANDMARKS_68 = np.array(
    [
        *range(16, -1, -1),  # contour
        *range(26, 16, -1),  # brows
        *range(27, 31),  # bridge of the nose
        *range(35, 30, -1),  # below it
        *(45, 44, 43, 42, 47, 46),  # image-left eye: corner, lid, corner, lower lid
        *(39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48),  # outer lips: upper, lower
        *(59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60),  # inner lips: upper, lower
        *(67, 66, 65),
    ]
)


def mirrored_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C) with left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def mirrored_points(points: NDArray[Any], width: float) -> NDArray[np.float64]:
    """(68, 2) or (5, 2) landmarks of the mirrored image, whose width is given in pixels.

    Raises:
        ValueError: another number of landmarks.
    """
    orders = {68: LANDMARKS_68, 5: LANDMARKS_5}
    if points.ndim != 2 or len(points) not in orders:
        raise ValueError(f"points are {points.shape}; expected (68, 2) or (5, 2)")
    mirrored: NDArray[np.float64] = np.asarray(points, np.float64)[orders[len(points)]]
    mirrored[:, 0] = width - mirrored[:, 0]
    return mirrored
