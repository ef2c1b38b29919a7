# SPDX-License-Identifier: Apache-2.0
"""Coordinate frames along strands: where they go, and which side of them looks off the head.

Parallel transport (Bishop 1975; double reflection, Wang et al. 2008) carries a frame along without
twisting it, through curls and where a strand stands straight off the head, where "outwards" says
nothing. A slow twist on top of it then turns its normal outwards where that does say something.

Letters: S strands, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Frames", "frames_along", "outward", "tangents"]

_SMOOTHINGS = 3  # of the twist, each over five points


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Right-handed orthonormal frames: side x tangent = normal.

    Attributes:
        tangent: (S, P, 3) from root to tip.
        normal: (S, P, 3) off the head as far as the tangent lets it.
        side: (S, P, 3) along the head, across the strand.
    """

    tangent: NDArray[np.float64]
    normal: NDArray[np.float64]
    side: NDArray[np.float64]


def tangents(points: ArrayLike) -> NDArray[np.float64]:
    """(S, P, 3) unit directions by central differences; of repeated points, those before them."""
    rows = np.asarray(points, np.float64)
    direction = np.empty_like(rows)
    direction[:, 1:-1] = rows[:, 2:] - rows[:, :-2]
    direction[:, 0], direction[:, -1] = rows[:, 1] - rows[:, 0], rows[:, -1] - rows[:, -2]
    length = np.linalg.norm(direction, axis=2)
    for point in range(1, rows.shape[1]):
        stuck = length[:, point] < 1e-9
        direction[stuck, point], length[stuck, point] = (
            direction[stuck, point - 1],
            length[stuck, point - 1],
        )
    none = length < 1e-9
    direction[none] = (0, -1, 0)
    return np.asarray(direction / np.where(none, 1, length)[..., None])


def outward(points: ArrayLike, middle: ArrayLike) -> NDArray[np.float64]:
    """(..., 3) unit vectors from the middle of the head; below it, from its vertical axis.

    Args:
        points: (..., 3).
        middle: (3,) of the head.
    """
    away = np.asarray(points, np.float64) - np.asarray(middle, np.float64)
    away[..., 1] = np.maximum(away[..., 1], 0)
    length = np.linalg.norm(away, axis=-1, keepdims=True)
    away = np.where(length < 1e-9, (0, 0, -1), away)
    return np.asarray(away / np.where(length < 1e-9, 1, length))


def frames_along(points: ArrayLike, middle: ArrayLike) -> Frames:
    """Frames of strands on a head.

    Args:
        points: (S, P, 3), P 2 or more.
        middle: (3,) of the head.
    """
    rows = np.asarray(points, np.float64)
    tangent = tangents(rows)
    away = outward(rows, middle)
    normal = _transported(rows, tangent, _across(away[:, 0], tangent[:, 0]))
    side = np.cross(tangent, normal)
    # The angle from the carried normal to outwards, as a number on the circle; its length says how
    # much outwards counts, none along the tangent.
    twist = (away * normal).sum(axis=2) + 1j * (away * side).sum(axis=2)
    for _ in range(_SMOOTHINGS):
        twist = _averaged(twist)
    length = np.abs(twist)
    twist = np.where(length < 1e-9, 1, twist) / np.where(length < 1e-9, 1, length)
    cosine, sine = twist.real[..., None], twist.imag[..., None]
    turned = cosine * normal + sine * side
    return Frames(tangent, turned, np.cross(tangent, turned))


def _transported(
    rows: NDArray[np.float64], tangent: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(S, P, 3) the first normal carried along by two reflections per step."""
    normal = np.empty_like(rows)
    normal[:, 0] = start
    for point in range(rows.shape[1] - 1):
        step = rows[:, point + 1] - rows[:, point]
        carried = _reflected(normal[:, point], step)
        bent = _reflected(tangent[:, point], step)
        carried = _reflected(carried, tangent[:, point + 1] - bent)
        normal[:, point + 1] = _across(carried, tangent[:, point + 1])
    return normal


def _reflected(vectors: NDArray[np.float64], plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors mirrored at planes through the origin; left alone where the plane has no normal."""
    square = (plane**2).sum(axis=1, keepdims=True)
    along = (vectors * plane).sum(axis=1, keepdims=True)
    share = along / np.where(square < 1e-18, 1, square) * (square >= 1e-18)
    return np.asarray(vectors - 2 * plane * share)


def _across(vectors: NDArray[np.float64], tangent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit vector at right angles to the tangent that is nearest; any, where none is."""
    across = vectors - (vectors * tangent).sum(axis=1, keepdims=True) * tangent
    length = np.linalg.norm(across, axis=1, keepdims=True)
    lost = (length < 1e-6)[:, 0]
    if lost.any():
        other = np.eye(3)[np.abs(tangent[lost]).argmin(axis=1)]
        across[lost] = np.cross(tangent[lost], other)
        length[lost] = np.linalg.norm(across[lost], axis=1, keepdims=True)
    return np.asarray(across / length)


def _averaged(values: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Averages over five points along the strand, 1 2 3 2 1, repeated beyond the ends."""
    padded = np.pad(values, ((0, 0), (2, 2)), mode="edge")
    count = values.shape[1]
    weights = (1, 2, 3, 2, 1)
    total = sum(w * padded[:, i : i + count] for i, w in enumerate(weights))
    return np.asarray(total / sum(weights), np.complex128)
