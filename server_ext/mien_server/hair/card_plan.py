# SPDX-License-Identifier: Apache-2.0
"""Which strands of a hairstyle lead a card, and how wide the cards are.

It depends on the hairstyle alone, not on the head or the colour, so it is made once and kept.

Letters: S strands, P points, K cards, N points of a card along its strand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.knots import FEWEST, MOST, knots_of, points_along
from mien_server.hair.more_strands import more_strands, nearest_strands
from mien_server.hair.polylines import curliness_of, lengths
from mien_server.hair.strands import Strands

__all__ = ["CardPlan", "plan_cards", "strands_for_cards"]

_MOST_PER_STRAND = 3
_LEAST_CARDS = 220  # before cards are given more segments
_LEAST_POINTS = 32  # of strands, as knots do not lie evenly
_WIDTHS_M = (0.003, 0.022)
_WIDEST = 0.8  # of a card's length
_OVERLAP = 1.35  # of the distance to the neighbours
_NEIGHBOUR = 3  # the how many-th nearest card is a neighbour on the far side
_NEIGHBOURS_LOOKED_AT = 500
_STATIONS = 6  # along a strand, where strands and cards are compared
_ROUNDS = 6


@dataclass(frozen=True, slots=True, eq=False)
class CardPlan:
    """Cards of a hairstyle.

    Attributes:
        strands: of the hairstyle and others between them (`more_strands`), with this `seed`.
        seed: see there.
        neighbours: see there.
        leaders: (K,) int64 which of them cards follow.
        knots: (N,) parts of the way along its strand, from 0 to 1, where a card has points.
        widths: (K, N) metres across, from root to tip.
        strip: (K,) int64 0 to 2, column of the texture; 0 is for the innermost.
        mirrored: (K,) bool, whether the column is mirrored.
        shade: (K,) float64 about 1, brightness of each card.
        lift: (K,) float64 metres that a card lies off its strand, outwards, so that cards that
            cross do not flicker.
    """

    strands: int
    seed: int
    neighbours: NDArray[np.intp]
    leaders: NDArray[np.int64]
    knots: NDArray[np.float64]
    widths: NDArray[np.float64]
    strip: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    shade: NDArray[np.float64]
    lift: NDArray[np.float64]

    @property
    def segments(self) -> int:
        """N - 1, straight pieces of a card."""
        return len(self.knots) - 1

    @property
    def triangles(self) -> int:
        """How many triangles the cards have."""
        return 2 * len(self.leaders) * self.segments


def plan_cards(strands: Strands, max_triangles: int, *, seed: int = 0) -> CardPlan:
    """Choose leaders and segments so that the cards have no more triangles than allowed.

    Curls take segments, at the cost of cards. Leaders are the strands nearest to the centres of
    clusters (Lloyd 1982, started evenly through the strands) in the places of six points of each.

    Args:
        strands: S 1 or more.
        max_triangles: 6 or more.
        seed: of everything that varies from card to card.

    Raises:
        ValueError: no strands, or too few triangles for one card.
    """
    if not len(strands) or max_triangles < 2 * FEWEST:
        raise ValueError(
            f"{len(strands)} strands and {max_triangles} triangles came; it takes a strand and "
            f"{2 * FEWEST} triangles to make a card"
        )
    most = min(max(max_triangles // (2 * _LEAST_CARDS), FEWEST), MOST)
    knots = knots_of(strands, most)
    allowed = max_triangles // (2 * (len(knots) - 1))
    # Hair that is too short to need them all gets more cards instead: stubble of few is rows.
    grown = max(len(strands), min(allowed, _MOST_PER_STRAND * len(strands)))
    neighbours = nearest_strands(strands)
    strands = more_strands(strands, grown, seed=seed, neighbours=neighbours)
    count = min(grown, allowed)
    stations = points_along(strands.points, np.linspace(0, 1, _STATIONS))
    leaders = _leaders(stations, count)
    generator = np.random.default_rng(seed)
    spacing = _spacing(stations[leaders])
    widths = np.stack([np.interp(knots, np.linspace(0, 1, _STATIONS), row) for row in spacing])
    widest = np.clip(_WIDEST * lengths(stations[leaders]), _WIDTHS_M[0], _WIDTHS_M[1])[:, None]
    widths = np.clip(_OVERLAP * widths, _WIDTHS_M[0], widest)
    # Narrow where hair leaves the skin, full soon after, narrower again at the tip.
    taper = np.interp(knots, [0, 0.12, 0.75, 1], [0.7, 1, 1, 0.8])
    return CardPlan(
        grown,
        seed,
        neighbours,
        leaders,
        knots,
        widths * taper,
        generator.integers(0, 3, count),
        generator.random(count) < 0.5,
        np.exp(generator.normal(0, 0.10, count)),
        generator.uniform(0, 0.0015, count),
    )


def strands_for_cards(strands: Strands, plan: CardPlan) -> Strands:
    """The same strands with no more points than cards of a plan need.

    Bringing them to a head takes time with the points.
    """
    wanted = max(_LEAST_POINTS, 2 * plan.segments)
    if strands.points.shape[1] <= wanted:
        return strands
    points = points_along(strands.points, np.linspace(0, 1, wanted)).astype(np.float32)
    return Strands(points, curliness_of(points))


def _leaders(stations: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(K,) rows nearest to the centres of K clusters, in order, none twice."""
    size = len(stations)
    if count == size:
        return np.arange(size)
    rows = stations.reshape(size, -1)
    centres = rows[np.arange(count) * size // count]
    for _ in range(_ROUNDS):
        gaps = _squares(rows, centres)
        nearest = gaps.argmin(axis=1)
        total = np.zeros_like(centres)
        np.add.at(total, nearest, rows)
        sizes = np.bincount(nearest, minlength=count)
        filled = sizes > 0
        centres = np.where(filled[:, None], total / np.maximum(sizes, 1)[:, None], centres)
    gaps = _squares(rows, centres)
    gaps[np.arange(size)[:, None], np.arange(count)] += np.where(
        gaps.argmin(axis=1)[:, None] == np.arange(count), 0, np.inf
    )
    chosen = np.unique(gaps.argmin(axis=0)[np.isfinite(gaps.min(axis=0))])
    # Clusters that lost all their strands are made good by strands that lead none.
    rest = np.setdiff1d(np.arange(size), chosen)
    missing = count - len(chosen)
    return np.sort(np.concatenate([chosen, rest[np.arange(missing) * len(rest) // count]]))


def _squares(rows: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (
        (rows**2).sum(axis=1)[:, None] - 2 * rows @ centres.T + (centres**2).sum(axis=1)
    )
    return result


def _spacing(stations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, stations) metres to a neighbouring card at each station.

    Of very many cards, only some are looked at as neighbours. They are farther apart, by the root
    of how many fewer they are.
    """
    count = len(stations)
    if count <= _NEIGHBOUR:
        return np.full(stations.shape[:2], _WIDTHS_M[1])
    some = np.arange(0, count, -(-count // _NEIGHBOURS_LOOKED_AT))
    gaps = np.stack(
        [_squares(stations[:, i], stations[some, i]) for i in range(stations.shape[1])], axis=1
    )
    gaps[some, :, np.arange(len(some))] = np.inf
    squares = np.partition(gaps, _NEIGHBOUR - 1, axis=2)[..., _NEIGHBOUR - 1]
    return np.asarray(np.sqrt(np.maximum(squares, 0) * (len(some) / count)))
