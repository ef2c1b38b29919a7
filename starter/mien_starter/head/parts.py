# SPDX-License-Identifier: Apache-2.0
"""Eyeballs with an iris, and two rows of teeth, for a head that has none fit to be painted.

Every added vertex is an affine function of vertices of the source head, so that whatever moves the
source (identity, expression) moves it, too, and the result stays linear.

Letters  S source vertices, V vertices of the whole head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[Any]

EYE_SEGMENTS = 14
# Degrees from the optical axis; the iris ends at 23, what lies behind 115 is never seen.
EYE_RINGS_DEG = (7.0, 15.0, 23.0, 31.0, 45.0, 65.0, 90.0, 115.0)
IRIS_DEG = 23.0

TOOTH_COLUMNS = 33
TOOTH_ROWS = 3
# Metres: half the width of the arch at its back, its depth, crown heights with some gum.
ARCH_HALF_WIDTH, ARCH_DEPTH = 0.0245, 0.030
UPPER_HEIGHT, LOWER_HEIGHT = 0.0115, 0.0105


@dataclass(frozen=True)
class Part:
    """Something added to the source head.

    Attributes:
        name: "eye_left", "eye_right" (the subject's), "teeth_upper", "teeth_lower".
        from_source: (P, S) affine weights; a displacement of the source is mapped by them alone.
        offset: (P, 3) what is added to positions, but not to displacements; metres.
        faces: (Q, 3) triangles, anticlockwise from outside.
        uv: (P, 2) inside the unit square, v up.
    """

    name: str
    from_source: sparse.csr_matrix
    offset: Array
    faces: Array
    uv: Array


def eyeball(name: str, ball: Array, source: Array) -> Part:
    """Fit a sphere with rings around the optical axis to the front half of a source eyeball.

    Args:
        name: of the part.
        ball: indices of the vertices of the front half: a pole, rings and an open rim.
        source: (S, 3) mean head.
    """
    points = source[ball]
    rim = ball[points[:, 2] < points[:, 2].min() + 0.16 * np.ptp(points[:, 2])]
    pole = ball[[points[:, 2].argmax()]]
    centre = np.full(len(rim), 1.0 / len(rim))
    along_x, along_y = _half_axes(rim, source)
    count = len(source)
    rows = []
    for direction in _eye_directions():
        row = np.zeros(count)
        row[rim] += centre * (1.0 - direction[2]) + direction[0] * along_x + direction[1] * along_y
        row[pole] += direction[2]
        rows.append(row)
    matrix = sparse.csr_matrix(np.stack(rows))
    return Part(name, matrix, np.zeros((len(rows), 3)), _eye_faces(), _eye_uv())


def _half_axes(rim: Array, source: Array) -> tuple[Array, Array]:
    """Weights over the rim whose sums of positions are the half axes along x and y."""
    points = source[rim]
    angle = np.arctan2(*(points - points.mean(axis=0))[:, 1::-1].T)
    # For points at centre + r (cos a, sin a) the mean of 2 cos a times the point is (r, 0).
    return _half_axis(points[:, 0], np.cos(angle)), _half_axis(points[:, 1], np.sin(angle))


def _half_axis(along: Array, wave: Array) -> Array:
    weights = wave - wave.mean()
    return np.asarray(weights * (float(np.ptp(along)) / 2) / float(weights @ along))


def _eye_directions() -> Array:
    polar = np.deg2rad(np.repeat(EYE_RINGS_DEG, EYE_SEGMENTS))
    turn = np.tile(np.arange(EYE_SEGMENTS) * 2 * np.pi / EYE_SEGMENTS, len(EYE_RINGS_DEG))
    rings = np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1
    )
    return np.asarray(np.vstack([[0.0, 0.0, 1.0], rings]))


def _eye_uv() -> Array:
    directions = _eye_directions()
    radius = np.concatenate([[0.0], np.repeat(EYE_RINGS_DEG, EYE_SEGMENTS)]) / EYE_RINGS_DEG[-1]
    flat = np.linalg.norm(directions[:, :2], axis=1, keepdims=True)
    return np.asarray(0.5 + 0.5 * radius[:, None] * directions[:, :2] / np.maximum(flat, 1e-9))


def _eye_faces() -> Array:
    first = 1 + np.arange(EYE_SEGMENTS)
    following = 1 + (np.arange(EYE_SEGMENTS) + 1) % EYE_SEGMENTS
    faces = [np.stack([np.zeros_like(first), first, following], axis=1)]
    for ring in range(len(EYE_RINGS_DEG) - 1):
        a, b = first + ring * EYE_SEGMENTS, following + ring * EYE_SEGMENTS
        c, d = a + EYE_SEGMENTS, b + EYE_SEGMENTS
        faces += [np.stack([a, c, d], axis=1), np.stack([a, d, b], axis=1)]
    return np.asarray(np.concatenate(faces))


def teeth(name: str, anchors: Array, source: Array, edge: Array, *, is_upper: bool) -> Part:
    """An arch of teeth that follows the mean of its anchors.

    Args:
        name: of the part.
        anchors: indices of the source vertices it moves with.
        source: (S, 3) mean head.
        edge: (3,) where the front teeth's biting edge is.
        is_upper: which of the two rows.
    """
    along = np.linspace(-1.0, 1.0, TOOTH_COLUMNS)
    height = UPPER_HEIGHT if is_upper else LOWER_HEIGHT
    up = np.linspace(0.0, 1.0, TOOTH_ROWS)
    turn = along * np.pi / 2
    arch = np.stack(
        [
            ARCH_HALF_WIDTH * np.sign(turn) * np.abs(np.sin(turn)) ** 0.9,
            np.zeros_like(turn),
            -ARCH_DEPTH * (1.0 - np.cos(turn)) ** 1.15,
        ],
        axis=1,
    )
    grid = np.repeat(arch[None], TOOTH_ROWS, axis=0)
    grid[..., 1] += (up * height)[:, None] * (1.0 if is_upper else -1.0)
    grid[..., 2] -= ((up - 0.4) ** 2 * 0.006)[:, None]
    positions = (grid + edge).reshape(-1, 3)
    weights = np.zeros((len(positions), len(source)))
    weights[:, anchors] = 1.0 / len(anchors)
    offset = positions - source[anchors].mean(axis=0)
    # Columns evenly along the arch, so that every tooth gets its share of the picture.
    steps = np.linalg.norm(np.diff(arch, axis=0), axis=1)
    u = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    uv = np.stack(np.broadcast_arrays(u[None], up[:, None]), axis=-1).reshape(-1, 2)
    return Part(name, sparse.csr_matrix(weights), offset, _grid_faces(is_upper=is_upper), uv)


def _grid_faces(*, is_upper: bool) -> Array:
    index = np.arange(TOOTH_ROWS * TOOTH_COLUMNS).reshape(TOOTH_ROWS, TOOTH_COLUMNS)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])
    return np.asarray(faces if is_upper else faces[:, ::-1])
