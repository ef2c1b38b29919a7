# SPDX-License-Identifier: Apache-2.0
"""Distances from a scan to a mesh, as the NoW benchmark measures them.

Source   Sanyal et al. 2019, *Learning to Regress 3D Face Shape and Expression from an Image without
         3D Supervision*, section 5, and what its published evaluation does: seven landmarks bring
         the mesh onto the scan, with its size; the distances of the scan's points then refine that;
         what counts lies in a sphere about the middle of the face. The metrical variant (Zielonka
         et al. 2022, section 5) leaves the size alone. The thesis behind avatars (section 4.4.2.1)
         speaks of the seven landmarks only.
Letters  N points of a scan, V vertices, F triangles. Metres where no unit is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.closest_points import closest_points
from mien_starter.evaluation.meshes import rigidly_aligned

__all__ = [
    "NOW_LANDMARKS",
    "Alignment",
    "ScanPlaces",
    "aligned",
    "even_places",
    "face_sphere",
    "scan_to_mesh_mm",
]

Array = NDArray[Any]

# Of iBUG's 68: the outer and inner corner of the right eye, those of the left one, the foot of the
# nose, the corners of the mouth. The thesis calls the fifth "the tip of the nose".
NOW_LANDMARKS = (36, 39, 42, 45, 33, 48, 54)

_RADIUS, _ABOVE_NOSE = 0.7, 0.3
_MOST_STEPS, _STILL_M = 100, 1e-7


class Alignment(Enum):
    """How a mesh is brought onto a scan before its distances are taken."""

    LANDMARKS = "seven landmarks"
    NOW = "seven landmarks, then the scan"
    METRICAL = "the same, without scaling"


@dataclass(frozen=True, slots=True, eq=False)
class ScanPlaces:
    """Places on the skin of a topology, the same ones of everybody.

    Attributes:
        corners: (N, 3) vertices of the triangles they lie in.
        weights: (N, 3) of those, each row sums to 1.
    """

    corners: NDArray[np.int32]
    weights: NDArray[np.float64]

    def on(self, vertices: Array) -> NDArray[np.float64]:
        """(N, 3) where they lie on a head of (V, 3)."""
        points: NDArray[np.float64] = np.einsum(
            "nk,nkc->nc", self.weights, np.asarray(vertices, np.float64)[self.corners]
        )
        return points


def even_places(vertices: Array, faces: Array, count: int, seed: int = 0) -> ScanPlaces:
    """Draw places that are equally dense everywhere, as a scanner's are.

    A head's own vertices are dense about eyes and lips, which would count more for it.

    Args:
        vertices: (V, 3) of the mean head.
        faces: (F, 3) triangles that may be drawn.
        count: N.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    a, b, c = np.asarray(vertices, np.float64)[faces].transpose(1, 0, 2)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    drawn = rng.choice(len(faces), count, p=areas / areas.sum())
    root, along = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    return ScanPlaces(np.asarray(faces[drawn], np.int32), weights)


def face_sphere(landmarks_7: Array) -> tuple[NDArray[np.float64], float]:
    """Centre (3,) and radius of what counts, from the scan's seven landmarks."""
    points = np.asarray(landmarks_7, np.float64)
    foot, bridge = points[4], (points[1] + points[2]) / 2
    across = np.linalg.norm(points[0] - points[3])
    radius = _RADIUS * (across + np.linalg.norm(bridge - foot))
    return foot + _ABOVE_NOSE * (bridge - foot), float(radius)


def aligned(
    scan: Array,
    scan_landmarks_7: Array,
    vertices: Array,
    faces: Array,
    landmarks_7: Array,
    alignment: Alignment,
) -> NDArray[np.float64]:
    """Turn, shift and, where the alignment does, scale a mesh onto a scan.

    Args:
        scan: (N, 3) points that count.
        scan_landmarks_7: (7, 3) in the order of `NOW_LANDMARKS`.
        vertices: (V, 3) of the mesh.
        faces: (F, 3) of the mesh.
        landmarks_7: (7, 3) of the mesh.
        alignment: how.

    Returns:
        (V, 3) the moved mesh.
    """
    scaled = alignment is not Alignment.METRICAL
    moved = _onto(vertices, landmarks_7, scan_landmarks_7, scaled=scaled)
    if alignment is Alignment.LANDMARKS:
        return moved
    before = np.inf
    for _ in range(_MOST_STEPS):
        nearest = closest_points(scan, moved, faces).points
        off = float(np.linalg.norm(scan - nearest, axis=1).mean())
        if before - off < _STILL_M:
            break
        before, moved = off, _onto(moved, nearest, scan, scaled=scaled)
    return moved


def scan_to_mesh_mm(scan: Array, vertices: Array, faces: Array) -> NDArray[np.float64]:
    """(N,) millimetres from each of (N, 3) points to the closest point of a surface."""
    nearest = closest_points(scan, vertices, faces).points
    distances: NDArray[np.float64] = np.linalg.norm(np.asarray(scan, np.float64) - nearest, axis=1)
    return distances * 1000


def _onto(vertices: Array, own: Array, theirs: Array, *, scaled: bool) -> NDArray[np.float64]:
    """The mesh, moved so that its points `own` come to lie on `theirs`."""
    moving = np.concatenate([np.asarray(vertices, np.float64), own])
    fixed = np.zeros_like(moving)
    fixed[len(vertices) :] = theirs
    counts = np.arange(len(moving)) >= len(vertices)
    moved: NDArray[np.float64] = rigidly_aligned(moving, fixed, counts, scaled=scaled)
    return moved[: len(vertices)]
