# SPDX-License-Identifier: Apache-2.0
"""The head model that is measured on, and how a served head compares with a true one.

Letters  V vertices, N points of a scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.avatars.scans import (
    NOW_LANDMARKS,
    Alignment,
    ScanPlaces,
    aligned,
    even_places,
    face_sphere,
    scan_to_mesh_mm,
)
from mien_export.head_model import HeadModel
from mien_starter.world.assets import Assets

__all__ = ["Yardstick", "landmarks_68"]

Array = NDArray[Any]

SCAN_POINTS = 4000
# Where parts of the face hide behind others, no scanner sees.
SKIN = "skin"


def landmarks_68(head: HeadModel, vertices: Array) -> NDArray[np.float64]:
    """(68, 3) landmarks that are fixed to the surface, of (V, 3)."""
    corners = head.f[head.full_lmk_faces_idx[0]]
    points: NDArray[np.float64] = np.einsum(
        "nk,nkc->nc", head.full_lmk_bary_coords[0], np.asarray(vertices, np.float64)[corners]
    )
    return points


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """Measures heads of one topology against true ones.

    Attributes:
        head: the head model.
        places: where the true heads are scanned: on the skin of the face.
    """

    head: HeadModel
    places: ScanPlaces

    @classmethod
    def of(cls, assets: Assets) -> Yardstick:
        """The yardstick of a starter head."""
        head = assets.head
        face = head.regions["face"]
        shown = (assets.island == SKIN) & face[head.f].all(axis=1)
        return cls(head, even_places(head.v_template, head.f[shown], SCAN_POINTS))

    def errors_mm(
        self, found: Array, truth: Array, alignments: Iterable[Alignment] = Alignment
    ) -> Mapping[Alignment, NDArray[np.float64]]:
        """Distances from a true head's scan to a head.

        Args:
            found: (V, 3), in any pose.
            truth: (V, 3), in any pose.
            alignments: that are wanted.

        Returns:
            By alignment (N,) millimetres.
        """
        own_7, true_7 = (
            landmarks_68(self.head, vertices)[list(NOW_LANDMARKS)] for vertices in (found, truth)
        )
        scan = self.places.on(truth)
        centre, radius = face_sphere(true_7)
        scan = scan[np.linalg.norm(scan - centre, axis=1) <= radius]
        faces = self.head.f
        return {
            how: scan_to_mesh_mm(scan, aligned(scan, true_7, found, faces, own_7, how), faces)
            for how in alignments
        }
