# SPDX-License-Identifier: Apache-2.0
"""The 68 landmarks on the head's surface: 51 fixed ones and a contour that moves with yaw.

The fixed ones were placed by hand on a front view of the mean head; the contour is computed: for
every yaw, the outermost points of the face in 17 directions, as one sees them from the front.

Letters  V vertices, F triangles. Positions are metres on the mean head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Front view, millimetres (x, y), image-left half of each symmetric pair where mirrored below.
BROW = ((-52.0, 24.5), (-44.0, 30.0), (-34.0, 32.0), (-24.0, 30.5), (-14.5, 27.0))
NOSE_BRIDGE = ((0.0, 14.0), (0.0, 2.0), (0.0, -10.0), (0.0, -22.0))
NOSE_BASE = ((-13.0, -31.5), (-6.5, -34.0), (0.0, -36.0), (6.5, -34.0), (13.0, -31.5))
# Outer corner, two above, inner corner, two below.
EYE = ((-46.0, 14.2), (-38.5, 18.3), (-27.5, 17.8), (-20.5, 12.8), (-27.5, 10.0), (-38.5, 10.2))
LIPS_OUTER = (
    *((-25.0, -58.7), (-15.0, -54.2), (-5.5, -51.5), (0.0, -52.3), (5.5, -51.5), (15.0, -54.2)),
    *((25.0, -58.7), (15.0, -66.8), (7.0, -69.8), (0.0, -70.4), (-7.0, -69.8), (-15.0, -66.8)),
)
# With the jaw open, so that the two lips do not hide each other.
LIPS_INNER_OPEN = (
    *((-22.0, -71.0), (-9.0, -57.5), (0.0, -56.5), (9.0, -57.5)),
    *((22.0, -71.0), (9.0, -88.0), (0.0, -91.5), (-9.0, -88.0)),
)

YAWS_DEG = 39  # the table of contours goes from -39 to 39
CONTOUR_POINTS = 17
# Directions of the contour seen from between the eyes and the mouth, from the image-left ear down.
CONTOUR_CENTRE = np.array([0.0, -0.004])
CONTOUR_DEG = np.linspace(-172.0, -8.0, CONTOUR_POINTS)
CONTOUR_WIDTH_DEG = 2.0


@dataclass(frozen=True)
class Embedding:
    """FLAME's landmark embedding: triangles and barycentric coordinates."""

    static_faces: npt.NDArray[np.int64]
    static_bary: Array
    dynamic_faces: npt.NDArray[np.int64]
    dynamic_bary: Array

    @property
    def full_faces(self) -> npt.NDArray[np.int64]:
        """(1, 68): the contour of a frontal head, then the fixed ones."""
        return np.asarray(np.concatenate([self.dynamic_faces[0], self.static_faces])[None])

    @property
    def full_bary(self) -> Array:
        """(1, 68, 3)."""
        return np.asarray(np.concatenate([self.dynamic_bary[0], self.static_bary])[None])


def embed(
    mean: Array, opened: Array, faces: Array, skin: Array, contour: Array, lid_edge: Array
) -> Embedding:
    """Place all landmarks.

    Args:
        mean: (V, 3) mean head.
        opened: (V, 3) the same with its jaw open.
        faces: (F, 3) triangles.
        skin: (F,) bool, triangles that fixed landmarks may lie on.
        contour: (V,) bool, vertices the contour may pass through.
        lid_edge: (V,) bool, vertices on the rims of the eyelids.
    """
    eye = [_vertex_on(mean, faces, lid_edge, point) for point in EYE]
    other = [_vertex_on(mean, faces, lid_edge, point) for point in _mirrored(_across(EYE))]
    points = [
        *(_hit(mean, faces, skin, point) for point in BROW),
        *(_hit(mean, faces, skin, point) for point in _mirrored(BROW[::-1])),
        *(_hit(mean, faces, skin, point) for point in (*NOSE_BRIDGE, *NOSE_BASE)),
        *eye,
        *other,
        *(_hit(mean, faces, skin, point) for point in LIPS_OUTER),
        *(_hit(opened, faces, skin, point) for point in LIPS_INNER_OPEN),
    ]
    static_faces, static_bary = zip(*points, strict=True)
    rows = [*range(YAWS_DEG + 1), *(-yaw for yaw in range(1, YAWS_DEG + 1))]
    table = [_contour(mean, faces, contour, yaw) for yaw in rows]
    return Embedding(
        np.array(static_faces),
        np.array(static_bary),
        np.array([[face for face, _ in row] for row in table]),
        np.array([[bary for _, bary in row] for row in table]),
    )


def _mirrored(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [(-x, y) for x, y in points]


def _across(eye: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """The order of the image-right eye: inner corner first, still clockwise on the picture."""
    outer, above_outer, above_inner, inner, below_inner, below_outer = eye
    return inner, above_inner, above_outer, outer, below_outer, below_inner


def _hit(
    vertices: Array, faces: Array, allowed: Array, point_mm: tuple[float, float]
) -> tuple[int, Array]:
    """The foremost allowed triangle under a point of the front view."""
    point = np.array(point_mm) / 1000
    corners = vertices[faces]
    a, b, c = corners[:, 0, :2], corners[:, 1, :2], corners[:, 2, :2]
    area = _cross(b - a, c - a)
    safe = np.where(np.abs(area) > 1e-14, area, np.inf)
    bary = np.stack(
        [_cross(b - point, c - point), _cross(c - point, a - point), _cross(a - point, b - point)],
        axis=1,
    )
    bary = bary / safe[:, None]
    # Only triangles turned to the viewer have a positive area.
    inside = (bary >= -1e-9).all(axis=1) & (area > 0) & allowed
    if not inside.any():
        raise ValueError(f"no skin lies under the landmark at {point_mm} mm of the front view")
    depth = np.where(inside, (bary * corners[..., 2]).sum(axis=1), -np.inf)
    face = int(depth.argmax())
    return face, np.clip(bary[face], 0, None) / np.clip(bary[face], 0, None).sum()


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _vertex_on(
    vertices: Array, faces: Array, allowed: Array, point_mm: tuple[float, float]
) -> tuple[int, Array]:
    point = np.array(point_mm) / 1000
    distance = np.where(allowed, np.linalg.norm(vertices[:, :2] - point, axis=1), np.inf)
    face, corner = np.argwhere(faces == int(distance.argmin()))[0]
    bary = np.zeros(3)
    bary[corner] = 1.0
    return int(face), bary


def _contour(
    vertices: Array, faces: Array, allowed: Array, yaw_deg: int
) -> list[tuple[int, Array]]:
    """The outermost allowed points in every direction, for a head turned by `yaw_deg`.

    The row of a table for yaw y serves heads that FLAME's rule calls y; positive turns the face
    to the image's right (a positive rotation about the y axis).
    """
    yaw = np.deg2rad(yaw_deg)
    rotation = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    candidates = np.flatnonzero(allowed[faces].all(axis=1))
    points = np.einsum("sc,fcx->fsx", CONTOUR_SAMPLES, vertices[faces[candidates]])
    seen = points.reshape(-1, 3) @ rotation.T
    # The centre stays on the axis of the face as it turns.
    centre = rotation @ np.array([*CONTOUR_CENTRE, 0.034])
    flat = seen[:, :2] - centre[:2]
    angle = np.rad2deg(np.arctan2(flat[:, 1], flat[:, 0]))
    radius = np.linalg.norm(flat, axis=1)
    result = []
    for direction in CONTOUR_DEG:
        near = np.abs((angle - direction + 180) % 360 - 180) < CONTOUR_WIDTH_DEG
        best = int(np.where(near, radius, -np.inf).argmax())
        face, sample = divmod(best, len(CONTOUR_SAMPLES))
        result.append((int(candidates[face]), CONTOUR_SAMPLES[sample]))
    return result


def _samples(steps: int) -> Array:
    """(S, 3) barycentric coordinates on a triangular grid."""
    grid = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.array(grid) / steps


CONTOUR_SAMPLES = _samples(6)
