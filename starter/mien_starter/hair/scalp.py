# SPDX-License-Identifier: Apache-2.0
"""The scalp as a square of 32 x 32 cells, each with the root of one strand.

Paper    Zhou et al. 2018, *HairNet*, section 3.1, has such a square; its own layout is not public.
Square   row 0 at the forehead, row 31 at the nape; column 0 at the person's right ear, column 31 at
         the left one; column 31 - j mirrors column j. Rings of cells are rings around the crown, by
         the map of Shirley and Chiu 1997 between square and disk; they are equally far apart. The
         outermost ring but one lies along the hairline; the outermost is bare skin.
Letters  G = 32 rows and columns, V vertices, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from mien_server.hair.strands import GRID

__all__ = ["CENTRE", "HAIRLINE_RADIUS", "Scalp", "disk_from_square", "hairline_angle", "scalp_of"]

Array = npt.NDArray[np.float64]

# Polar coordinates about the middle of the skull; the pole is the whorl, up and back.
CENTRE = np.array([0.0, 0.045, -0.015])
_TILT = np.deg2rad(130.5)
_POLE = np.array([0.0, np.sin(_TILT), np.cos(_TILT)])
_FRONT = np.array([0.0, -np.cos(_TILT), np.sin(_TILT)])
_LEFT = np.array([1.0, 0.0, 0.0])

# The hairline on the left half: azimuth from the front, angle from the pole, both in degrees.
_HAIRLINE = np.array(
    [
        (0, 105.4),  # the middle of the forehead
        (15, 104.0),
        (30, 101.8),  # the temple's corner
        (47, 108.0),
        (68, 115.0),
        (80, 120.0),  # the sideburn
        (88, 120.5),
        (95, 103.0),
        (100, 91.0),  # above the ear
        (111, 86.5),
        (120, 91.0),
        (128, 99.5),  # behind the ear
        (140, 108.5),
        (153, 110.5),
        (168, 109.0),
        (180, 108.0),  # the nape
    ]
)
_RINGS = GRID // 2
_BARE_RINGS = 1
# Radius of the hairline in the disk: a quarter ring outside the middles of the last hairy cells.
HAIRLINE_RADIUS = (_RINGS - _BARE_RINGS - 0.5 + 0.25) / _RINGS
_MARGIN = np.deg2rad(3.0)  # of the bare ring outside the hairline


@dataclass(frozen=True, slots=True, eq=False)
class Scalp:
    """Where strands are rooted; on any head of the same triangles by the barycentric weights.

    Attributes:
        triangle: (G, G) int32 triangle that the root lies on.
        barycentric: (G, G, 3) weights of its corners.
        roots: (G, G, 3) metres, on the mean head.
        normals: (G, G, 3) unit, outwards.
        radius: (G, G) 0 at the whorl, 1 at the edge of the square; hair ends at `HAIRLINE_RADIUS`.
        azimuth: (G, G) radians about the whorl: 0 to the forehead, pi / 2 to the left ear.
        growable: (G, G) bool, whether hair grows there on a full head of hair.
    """

    triangle: npt.NDArray[np.int32]
    barycentric: Array
    roots: Array
    normals: Array
    radius: Array
    azimuth: Array
    growable: npt.NDArray[np.bool_]

    def roots_on(self, vertices: npt.ArrayLike, faces: npt.ArrayLike) -> Array:
        """(G, G, 3) the roots on a head of (V, 3) vertices and the triangles of the mean head."""
        corners = np.asarray(vertices, np.float64)[np.asarray(faces)[self.triangle]]
        placed: Array = (corners * self.barycentric[..., None]).sum(axis=-2)
        return placed


def disk_from_square(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Array, Array]:
    """Radius and azimuth in the disk of a place in the square.

    Args:
        a: to the person's left, -1 to 1.
        b: to the forehead, -1 to 1.

    Returns:
        The radius 0 to 1, and the azimuth from the forehead, -pi to pi, positive to the left.
    """
    x, y = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    ahead = np.abs(y) >= np.abs(x)
    first, second = np.where(ahead, y, x), np.where(ahead, x, y)
    share = second / np.where(first == 0, 1.0, first)
    turn = np.where(ahead, np.pi / 4 * share, np.pi / 2 - np.pi / 4 * share)
    azimuth = np.where(first < 0, turn + np.pi, turn)
    return np.abs(first), (azimuth + np.pi) % (2 * np.pi) - np.pi


def hairline_angle(azimuth: npt.ArrayLike) -> Array:
    """Angle from the pole, radians, at which the hairline crosses an azimuth."""
    degrees = np.abs(np.rad2deg(np.asarray(azimuth, np.float64)))
    # Mirrored at both ends, so that it is smooth in the middle of the forehead and of the nape.
    turn, angle = _HAIRLINE.T
    turn = np.concatenate([-turn[3:0:-1], turn, 360 - turn[-2:-5:-1]])
    angle = np.concatenate([angle[3:0:-1], angle, angle[-2:-5:-1]])
    crossing: Array = np.deg2rad(PchipInterpolator(turn, angle)(degrees))
    return crossing


def scalp_of(vertices: npt.ArrayLike, faces: npt.ArrayLike, skin: npt.ArrayLike) -> Scalp:
    """The scalp of a head in the frame of the mean head.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).
        skin: (F,) bool, triangles that may carry a root: neither ears nor what lies inside.

    Raises:
        ValueError: the triangles leave a cell without a root.
    """
    middles = (2 * np.arange(GRID) + 1) / GRID - 1
    radius, azimuth = disk_from_square(middles[None, :], -middles[:, None])
    # Rings are equally far apart; the hairline is crossed at its radius.
    limit = hairline_angle(azimuth)
    angle = np.minimum(radius / HAIRLINE_RADIUS * limit, limit + _MARGIN)
    around = np.sin(azimuth)[..., None] * _LEFT + np.cos(azimuth)[..., None] * _FRONT
    rays = np.cos(angle)[..., None] * _POLE + np.sin(angle)[..., None] * around

    points, corners = np.asarray(vertices, np.float64), np.asarray(faces)
    candidates = np.flatnonzero(np.asarray(skin))
    hit, weights = _first_hits(points[corners[candidates]], rays.reshape(-1, 3))
    if (hit < 0).any():
        raise ValueError(
            f"{int((hit < 0).sum())} cells of the scalp have no triangle; give the skin of a whole "
            "head in the frame of the mean head"
        )
    triangle = candidates[hit].astype(np.int32)
    smooth = _vertex_normals(points, corners)[corners[triangle]]
    normals = (smooth * weights[..., None]).sum(axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    roots = (points[corners[triangle]] * weights[..., None]).sum(axis=1)
    return Scalp(
        triangle.reshape(GRID, GRID),
        weights.reshape(GRID, GRID, 3),
        roots.reshape(GRID, GRID, 3),
        normals.reshape(GRID, GRID, 3),
        radius,
        azimuth,
        radius < 1 - _BARE_RINGS / _RINGS,
    )


def _first_hits(triangles: Array, rays: Array) -> tuple[npt.NDArray[np.int64], Array]:
    """The triangle (N, 3, 3) that each ray (M, 3) from `CENTRE` meets first, -1 for none.

    Moeller and Trumbore 1997, all rays with all triangles.
    """
    a, b, c = np.moveaxis(triangles, 1, 0)
    ab, ac, origin = b - a, c - a, CENTRE - a
    q = np.cross(origin, ab)
    distance_part = (ac * q).sum(axis=1)
    # det = ab . (ray x ac) = ray . (ac x ab), and likewise for the two weights.
    det = rays @ np.cross(ac, ab).T
    u = rays @ np.cross(ac, origin).T
    v = rays @ q.T
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v, distance = u / det, v / det, distance_part / det
    slack = 1e-9
    inside = (u >= -slack) & (v >= -slack) & (u + v <= 1 + slack) & (distance > 0)
    distance = np.where(inside, distance, np.inf)
    best = distance.argmin(axis=1)
    row = np.arange(len(rays))
    found = np.isfinite(distance[row, best])
    u, v = np.clip(u[row, best], 0, 1), np.clip(v[row, best], 0, 1)
    return np.where(found, best, -1), np.stack([1 - u - v, u, v], axis=1)


def _vertex_normals(vertices: Array, faces: npt.NDArray[np.int32]) -> Array:
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    area = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], area)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12))
