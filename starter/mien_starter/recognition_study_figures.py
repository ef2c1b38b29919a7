# SPDX-License-Identifier: Apache-2.0
"""How well embeddings verify people: error rates, accuracy, and the area under the curve.

Letters  N photographs, M mated pairs, K non-mated ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.comparisons import compare_images
from mien_starter.evaluation.verification import verification_figures

__all__ = ["area_under_curve", "study_figures", "verification_accuracy"]

_MAX_NONMATED = 2_000_000
_FOLDS, _SEED = 10, 0
_RATES = ("fnmr_at_fmr_1e2", "fnmr_at_fmr_1e3", "equal_error_rate")

Similarities = NDArray[np.float32]


def study_figures(embeddings: NDArray[np.float32], identities: NDArray[Any]) -> dict[str, float]:
    """FNMR at two FMRs, equal error rate, accuracy and area under the ROC curve.

    Args:
        embeddings: (N, D).
        identities: (N,) numbers of people, two photographs of some at least.
    """
    rates = vars(verification_figures(embeddings, identities))
    _, ranks = np.unique(identities, return_inverse=True)
    people = ranks.astype(np.int32)
    pairs = compare_images(embeddings, people, max_nonmated=_MAX_NONMATED, seed=_SEED)
    return {
        **{name: rates[name] for name in _RATES},
        "accuracy": verification_accuracy(pairs.mated, pairs.nonmated),
        "area_under_curve": area_under_curve(pairs.mated, pairs.nonmated),
    }


def area_under_curve(mated: Similarities, nonmated: Similarities) -> float:
    """How often one of (M,) mated similarities exceeds one of (K,) others; ties count half."""
    ordered = np.sort(nonmated)
    below = np.searchsorted(ordered, mated, "left")
    not_above = np.searchsorted(ordered, mated, "right")
    return float((below + not_above).mean() / (2 * len(ordered)))


def verification_accuracy(mated: Similarities, nonmated: Similarities) -> float:
    """Share of pairs told rightly, mated and non-mated ones counting equally, as on LFW.

    Ten folds of pairs: the threshold of each is the best one of the other nine.

    Args:
        mated: (M,), M >= 2.
        nonmated: (K,), K >= 2.
    """
    rng = np.random.default_rng(_SEED)
    folds = min(_FOLDS, len(mated), len(nonmated))
    fold_of_mated = rng.permutation(len(mated)) % folds
    fold_of_nonmated = rng.permutation(len(nonmated)) % folds
    shares = []
    for fold in range(folds):
        own, others = fold_of_mated == fold, fold_of_nonmated == fold
        threshold = _best_threshold(mated[~own], nonmated[~others])
        right_mated = (mated[own] >= threshold).mean()
        right_nonmated = (nonmated[others] < threshold).mean()
        shares.append((right_mated + right_nonmated) / 2)
    return float(np.mean(shares))


def _best_threshold(mated: Similarities, nonmated: Similarities) -> float:
    # The best one lies half-way between neighbours; where several do, the middle one is taken.
    values = np.unique(np.concatenate([mated, nonmated]).astype(np.float64))
    candidates = np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])
    missed = np.searchsorted(np.sort(mated), candidates, "left") / len(mated)
    wrong = 1 - np.searchsorted(np.sort(nonmated), candidates, "left") / len(nonmated)
    errors = missed + wrong
    best = np.flatnonzero(errors <= errors.min() + 1e-12)
    return float(candidates[best[len(best) // 2]])
