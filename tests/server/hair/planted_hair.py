# SPDX-License-Identifier: Apache-2.0
"""Hair of known shape on the starter head: strands from the scalp, outwards and down."""

from functools import cache
from pathlib import Path

import numpy as np

from mien_server.hair.head import Head
from mien_server.hair.polylines import strands_from_polylines
from mien_server.hair.strands import Strands

__all__ = ["hair_on", "head_arrays", "mean_head", "random_head", "transformed"]

HEAD = Path(__file__).parents[3] / "starter" / "weights" / "head.npz"


@cache
def head_arrays() -> dict[str, np.ndarray]:
    with np.load(HEAD, allow_pickle=False) as archive:
        return {name: archive[name] for name in ("v_template", "f", "region_scalp", "shapedirs")}


@cache
def mean_head() -> Head:
    arrays = head_arrays()
    return Head.of(arrays["v_template"], arrays["f"], arrays["region_scalp"])


def random_head(seed: int) -> Head:
    """A head as different as people are."""
    directions = head_arrays()["shapedirs"][..., :100].astype(np.float32)
    shape = np.random.default_rng(seed).standard_normal(100).astype(np.float32)
    return mean_head().with_vertices(head_arrays()["v_template"] + directions @ shape)


def hair_on(head: Head, count: int = 400, seed: int = 0, points: int = 40, end_m: float = -0.1):
    """(S, P, 3) strands that leave the scalp at right angles to it and hang down to `end_m`."""
    generator = np.random.default_rng(seed)
    corners = head.vertices[head.scalp_faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1)
    chosen = generator.choice(len(area), count, p=area / area.sum())
    weights = generator.dirichlet([1, 1, 1], count)[..., None]
    roots = (corners[chosen] * weights).sum(axis=1)
    aside = (roots - [0, 0, -0.015]) * [1, 0, 1]
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    turned = roots + 0.04 * normals[chosen] / area[chosen, None] + 0.04 * aside
    ends = 0.11 * aside + [0, end_m, -0.015]
    t = np.linspace(0, 1, 60)[:, None]
    curves = (
        (1 - t) ** 2 * roots[:, None] + 2 * t * (1 - t) * turned[:, None] + t**2 * ends[:, None]
    )
    return strands_from_polylines(curves.reshape(-1, 3), np.full(count, 60), points)


def transformed(strands: Strands, scale: float, shift) -> Strands:
    points = strands.points.astype(np.float64) * scale + np.asarray(shift)
    return Strands(points.astype(np.float32), strands.curliness * np.float32(scale))
