# SPDX-License-Identifier: Apache-2.0
"""Where a face is skin and nothing else: away from brows, eyes, nostrils and lips.

Letters  S side of the texture. Lengths are in thirds of the face, as in `regions`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.regions import ramp

__all__ = ["plain_skin"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Feature:
    """A feature along some of the 68 landmarks, and how far its surroundings reach."""

    landmarks: slice
    is_closed: bool
    near: float  # from here on there is some plain skin
    far: float  # and from here on nothing else


FEATURES = (
    _Feature(slice(17, 22), is_closed=False, near=0.12, far=0.22),
    _Feature(slice(22, 27), is_closed=False, near=0.12, far=0.22),
    _Feature(slice(31, 36), is_closed=False, near=0.16, far=0.26),
    _Feature(slice(36, 42), is_closed=True, near=0.10, far=0.22),
    _Feature(slice(42, 48), is_closed=True, near=0.10, far=0.22),
    _Feature(slice(48, 60), is_closed=True, near=0.06, far=0.14),
)


def plain_skin(position: Array, landmarks_68: Array, third: float) -> NDArray[np.float32]:
    """The share of plain skin at each texel of a face.

    Args:
        position: (S, S, 3) metres, on the head at rest.
        landmarks_68: (68, 3) metres of that head.
        third: of the face, in metres.

    Returns:
        (S, S) 0..1; of what is no face it says nothing.
    """
    places = np.asarray(position, np.float64).reshape(-1, 3)
    share = np.ones(len(places))
    for feature in FEATURES:
        corners = np.asarray(landmarks_68, np.float64)[feature.landmarks]
        if feature.is_closed:
            corners = np.concatenate([corners, corners[:1]])
            share[_is_inside(places[:, :2], corners[:, :2])] = 0
        share *= ramp(_distance(places, corners) / third, feature.near, feature.far)
    return share.reshape(position.shape[:2]).astype(np.float32)


def _distance(places: Array, corners: Array) -> Array:
    """(N,) from the nearest point of a line through corners (C, 3)."""
    nearest = np.full(len(places), np.inf)
    for start, way in zip(corners[:-1], np.diff(corners, axis=0), strict=True):
        along = ((places - start) @ way / max(float(way @ way), 1e-12)).clip(0, 1)
        gap = np.linalg.norm(places - start - along[:, None] * way, axis=1)
        nearest = np.minimum(nearest, gap)
    return nearest


def _is_inside(places: Array, corners: Array) -> NDArray[np.bool_]:
    """(N,) whether (N, 2) lie inside a polygon whose last corner is its first (even-odd rule)."""
    inside = np.zeros(len(places), bool)
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        crosses = (y0 > places[:, 1]) != (y1 > places[:, 1])
        if y0 != y1:
            edge = x0 + (places[:, 1] - y0) * (x1 - x0) / (y1 - y0)
            inside ^= crosses & (places[:, 0] < edge)
    return inside
