# SPDX-License-Identifier: Apache-2.0
"""What hair grows on: the shipped head with its bust, its scalp and the distance from its skin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.hair.bust import bust_of
from mien_starter.hair.distance import DistanceField, distance_field
from mien_starter.hair.scalp import Scalp, scalp_of

__all__ = ["HEAD", "Ground", "ground_of", "shipped_ground"]

Array = npt.NDArray[Any]

HEAD = Path(__file__).resolve().parents[2] / "weights" / "head.npz"
_SKIN, _EYES = ("skin", "neck"), ("eye_left", "eye_right")  # islands that hair can touch


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The mean head, ready for hair.

    Attributes:
        vertices: (V, 3) float64 of head and bust, the head's first.
        faces: (F, 3) of head and bust, the head's first.
        head_vertices: how many vertices are the head's.
        head_faces: how many triangles are the head's.
        outer: (F,) bool, what can be touched: not what lies inside.
        scalp: the roots.
        field: the distance from what can be touched.
    """

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32]
    head_vertices: int
    head_faces: int
    outer: npt.NDArray[np.bool_]
    scalp: Scalp
    field: DistanceField


def ground_of(path: Path) -> Ground:
    """Prepare a head asset, which must lie in the frame of the starter's; takes about a second.

    Raises:
        OSError: there is no such file.
        ValueError: it is no head with islands and regions, or no head of that frame.
    """
    with np.load(path) as arrays:
        missing = {"v_template", "f", "island", "region_ears", "region_eyes"} - set(arrays.files)
        if missing:
            raise ValueError(
                f"{path} has no {', '.join(sorted(missing))}; make the head: mien_starter head"
            )
        vertices, faces = arrays["v_template"].astype(np.float64), arrays["f"].astype(np.int32)
        island, eyes = arrays["island"], arrays["region_eyes"]
    bust, triangles = bust_of(vertices, faces)
    skin = np.isin(island, _SKIN)
    touched = skin | (np.isin(island, _EYES) & _looks_ahead(vertices[faces]))
    outer = np.concatenate([touched, np.ones(len(triangles) - len(faces), bool)])
    return Ground(
        vertices=bust,
        faces=triangles.astype(np.int32),
        head_vertices=len(vertices),
        head_faces=len(faces),
        outer=outer,
        scalp=scalp_of(vertices, faces, skin & ~eyes[faces].any(axis=1)),
        field=distance_field(bust, triangles[outer]),
    )


def _looks_ahead(triangles: Array) -> npt.NDArray[np.bool_]:
    """(F,) which of (F, 3, 3) triangles face the front: of eyeballs, what closes the lids' gap."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    return np.asarray(np.cross(b - a, c - a)[:, 2] > 0)


@lru_cache(maxsize=1)
def shipped_ground() -> Ground:
    """The shipped head's."""
    return ground_of(HEAD)
