# SPDX-License-Identifier: Apache-2.0
"""What a similarity is worth as evidence: a monotone map to its log10 likelihood ratio.

The likelihood ratio of a similarity is how many times likelier it is between two images of one
person than between images of two. Cosines of mated pairs spread several times as wide as those of
non-mated ones, so that no logistic curve fits both ends. The map is therefore fitted by isotonic
regression (pool adjacent violators), which assumes nothing but that more similar is never weaker
evidence, and is optimal under every proper scoring rule (Brümmer and du Preez 2013, "The PAV
algorithm optimizes binary proper scoring rules"). Both classes weigh the same, so that the odds of
the fit are the likelihood ratio.

By itself PAV claims infinite evidence at both ends. There the rule of three bounds it: below the
lowest similarity three independent mated comparisons are added, above the highest three
non-mated ones, the most that may be missing by chance (95 %) where none was seen. No ratio beyond
n/3 can then come from n independent comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from mien_export.error_rates import RULE_OF_THREE, Floats, Similarities

# Similarities are counted in bins: a fiftieth of the spread of non-mated ones, or less.
_BINS_PER_UNIT = 1000
# Knots are left out as long as the curve stays this close, in powers of ten: 12 % of the ratio.
_TOLERANCE = 0.05
_OUTER_PART = 0.05


@dataclass(frozen=True)
class LikelihoodRatio:
    """A curve through knots, constant beyond them.

    Attributes:
        similarity: (L,) ascending.
        log10: (L,) of the likelihood ratio, never falling.
    """

    similarity: tuple[float, ...]
    log10: tuple[float, ...]

    def __call__(self, similarity: Floats | Similarities) -> Floats:
        """Interpolate log10 of the likelihood ratio at any similarities."""
        interpolated: Floats = np.interp(similarity, self.similarity, self.log10)
        return interpolated


def fit_likelihood_ratio(
    mated: Similarities,
    nonmated: Similarities,
    *,
    independent_mated: float,
    independent_nonmated: float,
) -> LikelihoodRatio:
    """Fit the map.

    Args:
        mated: (M,) similarities.
        nonmated: (K,) similarities.
        independent_mated: how many independent comparisons the mated ones are worth, at most M.
        independent_nonmated: likewise for the non-mated ones.
    """
    bins = np.arange(-_BINS_PER_UNIT, _BINS_PER_UNIT + 1)
    mated_mass, nonmated_mass = (
        np.bincount(
            np.rint(similarity * _BINS_PER_UNIT).astype(int) + _BINS_PER_UNIT, minlength=len(bins)
        )
        / len(similarity)
        for similarity in (mated, nonmated)
    )
    seen = mated_mass + nonmated_mass > 0
    position = bins[seen] / _BINS_PER_UNIT
    mated_mass = np.r_[RULE_OF_THREE / independent_mated, mated_mass[seen], 0]
    nonmated_mass = np.r_[0, nonmated_mass[seen], RULE_OF_THREE / independent_nonmated]
    mass = mated_mass + nonmated_mass
    fit = isotonic_regression(mated_mass / mass, weights=mass)
    # What was added has a weight, but no place on the axis of similarities.
    edges = np.clip(fit.blocks - 1, 0, len(position))
    knots = []
    for block, (start, stop) in enumerate(pairwise(edges)):
        if stop > start:
            fraction = _inner_fraction(block, len(edges) - 1)
            share = fit.x[fit.blocks[block]]
            place = _quantile(position[start:stop], mass[1:-1][start:stop], fraction)
            knots.append((place, np.log10(share / (1 - share))))
    curve = np.array(knots)
    kept = curve[_essential(curve)]
    return LikelihoodRatio(
        tuple(np.round(kept[:, 0], 5).tolist()), tuple(np.round(kept[:, 1], 3).tolist())
    )


def _inner_fraction(block: int, block_count: int) -> float:
    """Where in a block its knot stands, as the part of the block's mass below it."""
    if block_count == 1:
        return 0.5
    # The outermost blocks are wide, and their value is a bound: it holds nearly to their edge.
    return {0: 1 - _OUTER_PART, block_count - 1: _OUTER_PART}.get(block, 0.5)


def _quantile(position: Floats, mass: Floats, fraction: float) -> float:
    # Each bin's mass lies around its middle, half on either side.
    return float(np.interp(fraction, (np.cumsum(mass) - mass / 2) / mass.sum(), position))


def _essential(knots: Floats) -> npt.NDArray[np.intp]:
    """Indices that keep the curve within the tolerance (Douglas and Peucker 1973, in height)."""
    kept = {0, len(knots) - 1}
    spans = [(0, len(knots) - 1)]
    while spans:
        start, stop = spans.pop()
        inner = np.arange(start + 1, stop)
        if not len(inner):
            continue
        chord = np.interp(knots[inner, 0], knots[[start, stop], 0], knots[[start, stop], 1])
        distance = np.abs(knots[inner, 1] - chord)
        if distance.max() > _TOLERANCE:
            split = int(inner[distance.argmax()])
            kept.add(split)
            spans += [(start, split), (split, stop)]
    return np.array(sorted(kept))
