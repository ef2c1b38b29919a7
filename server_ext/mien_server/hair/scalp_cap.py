# SPDX-License-Identifier: Apache-2.0
"""A thin cap under the cards: the scalp between them, darkened by the hair that grows on it.

Without it, skin shines through at every parting. Its edge dissolves into dots (the fourth strip of
`card_texture`) where roots end, which makes a hairline.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.card_texture import SCALP_STRIP
from mien_server.hair.closest_points import nearest_points
from mien_server.hair.head import Head
from mien_server.hair.strands import Strands
from mien_server.hair.surface import HairSurface
from mien_server.rendering.normals import vertex_normals

__all__ = ["root_cover", "scalp_cap", "usual_gap"]

_LIFT_M = 0.0005
_SHADE = 0.62
# Distances to the nearest root, in usual distances between roots, that are wholly covered and bare.
_COVERED, _BARE = 1.0, 1.7
_ROOTS_LOOKED_AT = 100


def scalp_cap(
    strands: Strands, head: Head, *, colour: ArrayLike = (1.0, 1.0, 1.0), seed: int = 0
) -> HairSurface:
    """The cap of hair on a head.

    Args:
        strands: S 1 or more, with their roots on the head.
        head: that they grow on.
        colour: (3,) RGB in 0..1 of the hair.
        seed: of its dots.

    Returns:
        The triangles of the skin that are covered at one corner at least, those at the hairline in
        four, lifted by half a millimetre; v is how much is covered.
    """
    gap = usual_gap(strands)
    cover = root_cover(head.vertices, strands, gap)
    corners = cover[head.skin]
    whole = head.skin[corners.min(axis=1) >= 1]
    partly = head.skin[(corners.max(axis=1) > 0) & (corners.min(axis=1) < 1)]
    normals = vertex_normals(head.vertices[None], head.skin)[0]
    points, directions, quarters = _in_four(head.vertices, normals, partly)
    used, faces = np.unique(np.concatenate([whole, quarters]), return_inverse=True)
    points, directions = points[used], directions[used]
    v = root_cover(points, strands, gap)
    u = np.random.default_rng(seed).uniform(*SCALP_STRIP, len(used))
    tint = np.clip(_SHADE * np.asarray(colour, np.float64), 0, 1)
    return HairSurface(
        (points + _LIFT_M * directions).astype(np.float32),
        directions.astype(np.float32),
        faces.reshape(-1, 3).astype(np.int32),
        np.column_stack([u, np.clip(v, 0.004, 0.996)]).astype(np.float32),
        np.tile(tint, (len(used), 1)).astype(np.float32),
    )


def root_cover(points: ArrayLike, strands: Strands, gap_m: float) -> NDArray[np.float64]:
    """(N,) 1 among the roots of strands, falling to 0 a little beyond the last of them.

    Args:
        points: (N, 3) on the skin.
        strands: S 1 or more.
        gap_m: between roots, `usual_gap`.
    """
    places = np.ascontiguousarray(points, np.float32)
    near = nearest_points(places, strands.roots, reach=_BARE * gap_m)
    off = np.linalg.norm(places - strands.roots[near], axis=1)
    t = np.clip((_BARE * gap_m - off) / ((_BARE - _COVERED) * gap_m), 0, 1)
    return np.where(near < 0, 0.0, t * t * (3 - 2 * t))


def usual_gap(strands: Strands) -> float:
    """Metres from a root to the second nearest other one, in the median of some; above 0."""
    roots = strands.roots
    some = roots[:: -(-len(roots) // _ROOTS_LOOKED_AT)]
    a, b = some.astype(np.float64), roots.astype(np.float64)
    middle = b.mean(axis=0)  # squares of differences lose no digits near it
    a, b = a - middle, b - middle
    squares = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
    rank = min(2, len(roots) - 1)  # the nearest of all is the root itself
    usual = np.median(np.partition(squares, rank, axis=1)[:, rank])
    return max(float(np.sqrt(max(usual, 0))), 1e-4)


def _in_four(
    points: NDArray[np.float32], normals: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Points and normals with the middles of edges behind them, and each triangle as four."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    kinds, which = np.unique(edges, axis=0, return_inverse=True)
    middle = (len(points) + which.reshape(-1, 3)).astype(np.int32)
    between = normals[kinds].sum(axis=1)
    between = between / np.maximum(np.linalg.norm(between, axis=1, keepdims=True), 1e-6)
    a, b, c = faces.T
    ab, bc, ca = middle.T
    quarters = np.stack([(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)])
    return (
        np.concatenate([points, points[kinds].mean(axis=1)]),
        np.concatenate([normals, between.astype(np.float32)]),
        quarters.transpose(0, 2, 1).reshape(-1, 3),
    )
