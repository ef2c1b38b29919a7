# SPDX-License-Identifier: Apache-2.0
"""Error rates of verification, as ISO/IEC 19795-1 defines them, from similarities.

A pair is decided to be of one person where similarity >= threshold. FMR is the share of non-mated
pairs (of two people) for which that happens, FNMR the share of mated pairs (of one person) for
which it does not.

Letters: M mated pairs, K non-mated pairs, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from mien_export.errors import CalibrationError

Floats = npt.NDArray[np.float64]
Similarities = npt.NDArray[np.float32]

CONFIDENCE = 0.95
# A threshold is written with six decimals, ten times what FP32 resolves near 1.
_STEP = 1e-6
# Where no error is seen in n independent trials, the rate is below 3/n with 95 % confidence:
# (1 - 3/n)^n is about exp(-3), or 5 %.
RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class Bounds:
    """A confidence interval of a rate, 0 to 1."""

    low: float
    high: float


class ErrorRates:
    """FMR and FNMR at any threshold.

    Args:
        mated: (M,) in any order.
        nonmated: (K,) in any order.

    Raises:
        CalibrationError: either is empty or holds NaN or infinity.
    """

    def __init__(self, mated: Similarities, nonmated: Similarities) -> None:
        for name, similarity in (("mated", mated), ("non-mated", nonmated)):
            if not len(similarity) or not np.isfinite(similarity).all():
                raise CalibrationError(
                    f"{len(similarity)} {name} similarities came, "
                    f"{int((~np.isfinite(similarity)).sum())} of them no numbers; expected at "
                    "least one, all finite. Look at the crops and the graph."
                )
        self._mated, self._nonmated = np.sort(mated), np.sort(nonmated)

    def fmr(self, thresholds: npt.ArrayLike) -> Floats:
        """(T,) share of non-mated pairs that reach each of (T,) thresholds."""
        count = len(self._nonmated)
        share: Floats = (count - _below(self._nonmated, thresholds)) / count
        return share

    def fnmr(self, thresholds: npt.ArrayLike) -> Floats:
        """(T,) share of mated pairs that stay below each of (T,) thresholds."""
        share: Floats = _below(self._mated, thresholds) / len(self._mated)
        return share

    def threshold_at_fmr(self, fmr: float) -> float:
        """Find the lowest threshold, with six decimals, whose FMR is not above the wanted one.

        Args:
            fmr: 0 to 1. Below 1/K no pair may reach the threshold.
        """
        # Rounding must not lose a whole pair: 0.07 * 100 is a little more than 7, 0.29 * 100 less.
        allowed = int(np.floor(fmr * len(self._nonmated) + 1e-9))
        if allowed >= len(self._nonmated):
            return -1.0
        highest_refused = self._nonmated[len(self._nonmated) - 1 - allowed]
        steps = int(np.floor(float(highest_refused) / _STEP)) + 1
        # The server compares in FP32, where a threshold just above may become equal.
        while np.float32(steps * _STEP) <= highest_refused:
            steps += 1
        return round(steps * _STEP, 6)

    def equal_error_rate(self) -> tuple[float, float]:
        """Find where FMR and FNMR meet.

        Returns:
            Their mean there, and the threshold at which they are closest.
        """
        thresholds = np.union1d(self._mated, self._nonmated)
        fmr, fnmr = self.fmr(thresholds), self.fnmr(thresholds)
        closest = int(np.argmin(np.abs(fmr - fnmr)))
        return float(fmr[closest] + fnmr[closest]) / 2, float(thresholds[closest])

    def informative_thresholds(self, count: int) -> Floats:
        """Choose thresholds at which the curve of error rates moves.

        Args:
            count: how many for each kind of pair.

        Returns:
            (T,) ascending: where FMR falls and FNMR rises by equal factors, between one pair and
            half of them.
        """
        chosen = []
        for similarity, is_error_above in ((self._nonmated, True), (self._mated, False)):
            rates = np.geomspace(max(1 / len(similarity), 1e-7), 0.5, count)
            rank = np.round(rates * (len(similarity) - 1)).astype(int)
            chosen.append(similarity[len(similarity) - 1 - rank if is_error_above else rank])
        thresholds: Floats = np.unique(np.concatenate(chosen).astype(np.float64))
        return thresholds


def _below(ordered: Similarities, thresholds: npt.ArrayLike) -> npt.NDArray[np.intp]:
    # In FP32 on both sides, as the server compares.
    found: npt.NDArray[np.intp] = np.searchsorted(ordered, np.asarray(thresholds, np.float32))
    return found


def binomial_bounds(errors: float, trials: float, confidence: float = CONFIDENCE) -> Bounds:
    """Bound a rate by the exact interval of Clopper and Pearson (1934).

    Where nothing errs, or everything, the interval is one-sided: with 95 % the rule of three of
    ISO/IEC 19795-1, from 0 to about 3/trials.

    Args:
        errors: 0 to `trials`; fractions come from an effective number of trials.
        trials: independent ones, above 0. Pairs that share a person are not: see
            `identity_bootstrap`.
        confidence: of the interval.
    """
    alpha = 1 - confidence
    if errors <= 0:
        return Bounds(0.0, 1 - alpha ** (1 / trials))
    if errors >= trials:
        return Bounds(alpha ** (1 / trials), 1.0)
    return Bounds(
        float(betaincinv(errors, trials - errors + 1, alpha / 2)),
        float(betaincinv(errors + 1, trials - errors, 1 - alpha / 2)),
    )
