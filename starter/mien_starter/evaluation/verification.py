# SPDX-License-Identifier: Apache-2.0
"""How often two photographs are wrongly told to be of one person, or of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.comparisons import compare_images
from mien_export.error_rates import ErrorRates

__all__ = ["VerificationFigures", "verification_figures"]

_MAX_NONMATED = 2_000_000


@dataclass(frozen=True)
class VerificationFigures:
    """Error rates, 0 to 1; FNMR at the threshold of an FMR.

    Attributes:
        fnmr_at_fmr_1e2: FNMR where one in a hundred pairs of two people matches.
        fnmr_at_fmr_1e3: one in a thousand.
        fnmr_at_fmr_1e4: one in ten thousand.
        threshold_at_fmr_1e3: similarity.
        equal_error_rate: where both are equal.
        mated_pairs: compared.
        nonmated_pairs: compared.
    """

    fnmr_at_fmr_1e2: float
    fnmr_at_fmr_1e3: float
    fnmr_at_fmr_1e4: float
    threshold_at_fmr_1e3: float
    equal_error_rate: float
    mated_pairs: int
    nonmated_pairs: int


def verification_figures(
    embeddings: NDArray[np.float32], identities: NDArray[Any]
) -> VerificationFigures:
    """Compare everything with everything.

    Args:
        embeddings: (N, D).
        identities: (N,) numbers of people.
    """
    _, ranks = np.unique(identities, return_inverse=True)
    pairs = compare_images(embeddings, ranks.astype(np.int32), max_nonmated=_MAX_NONMATED, seed=0)
    rates = ErrorRates(pairs.mated, pairs.nonmated)
    thresholds = [rates.threshold_at_fmr(fmr) for fmr in (1e-2, 1e-3, 1e-4)]
    fnmr = [float(value) for value in rates.fnmr(thresholds)]
    return VerificationFigures(
        fnmr_at_fmr_1e2=fnmr[0],
        fnmr_at_fmr_1e3=fnmr[1],
        fnmr_at_fmr_1e4=fnmr[2],
        threshold_at_fmr_1e3=thresholds[1],
        equal_error_rate=rates.equal_error_rate()[0],
        mated_pairs=len(pairs.mated),
        nonmated_pairs=len(pairs.nonmated),
    )
