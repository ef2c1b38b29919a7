# SPDX-License-Identifier: Apache-2.0
"""Hair cards: ribbons along strands, each with a picture of many hairs on it.

Letters: K cards, N points of a card along its strand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.card_plan import CardPlan
from mien_server.hair.card_texture import STRIPS
from mien_server.hair.frames import frames_along
from mien_server.hair.knots import points_along
from mien_server.hair.more_strands import more_strands
from mien_server.hair.shading import light_within, middle_of
from mien_server.hair.strands import Strands
from mien_server.hair.surface import HairSurface

__all__ = ["hair_cards"]

_ROOT_SHADE, _TIP_SHADE = 0.80, 1.06


def hair_cards(
    strands: Strands,
    plan: CardPlan,
    *,
    colour: ArrayLike = (1.0, 1.0, 1.0),
    middle: ArrayLike | None = None,
) -> HairSurface:
    """Cards of strands on a head.

    They follow their strands and lie flat on the head, whoever looks from wherever; draw both
    sides of them with `card_texture`, whose top is at the roots. Normals are those of the hair as a
    whole rather than of each ribbon.

    Args:
        strands: the hairstyle that the plan is for, on any head.
        plan: see `card_plan.plan_cards`.
        colour: (3,) RGB in 0..1 of the hair, as in an image.
        middle: (3,) of the head; None: guessed from the roots.

    Returns:
        `plan.triangles` triangles, 2 N vertices for each card.

    Raises:
        ValueError: the plan is of a hairstyle of other strands.
    """
    if len(strands) != len(plan.neighbours):
        raise ValueError(
            f"the plan is for {len(plan.neighbours)} strands, {len(strands)} came; it is of "
            "another hairstyle"
        )
    dense = more_strands(strands, plan.strands, seed=plan.seed, neighbours=plan.neighbours)
    led = dense.points[plan.leaders]
    centre = middle_of(strands) if middle is None else np.asarray(middle, np.float64)
    points = points_along(led, plan.knots)
    frames = frames_along(points, centre)
    points = points + plan.lift[:, None, None] * frames.normal
    half = plan.widths[..., None] / 2 * frames.side
    vertices = np.stack([points - half, points + half], axis=2)  # (K, N, 2, 3)
    normals = np.repeat(frames.normal[:, :, None], 2, axis=2)
    shade = (_ROOT_SHADE + (_TIP_SHADE - _ROOT_SHADE) * plan.knots) * plan.shade[:, None]
    shade = shade * light_within(points, strands, centre)
    colours = np.clip(shade[..., None] * np.asarray(colour, np.float64), 0, 1)
    return HairSurface(
        vertices.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        _triangles(len(led), plan.segments),
        _uv(plan).reshape(-1, 2).astype(np.float32),
        np.repeat(colours, 2, axis=1).reshape(-1, 3).astype(np.float32),
    )


def _uv(plan: CardPlan) -> NDArray[np.float64]:
    """(K, N, 2, 2) across one strip of the texture, and down it from root to tip."""
    left, right = np.array(STRIPS)[plan.strip].T
    sides = np.where(plan.mirrored[:, None], np.stack([right, left], 1), np.stack([left, right], 1))
    uv = np.empty((len(plan.leaders), plan.segments + 1, 2, 2))
    uv[..., 0] = sides[:, None]
    uv[..., 1] = 1 - plan.knots[:, None]
    return uv


def _triangles(count: int, segments: int) -> NDArray[np.int32]:
    """(2 K (N - 1), 3) counter-clockwise seen from the side of the normals."""
    first = 2 * (np.arange(count)[:, None] * (segments + 1) + np.arange(segments))
    corners = first[..., None, None] + np.array([[0, 1, 2], [1, 3, 2]])
    return np.asarray(corners.reshape(-1, 3), np.int32)
