# SPDX-License-Identifier: Apache-2.0
"""The decision on a similarity: its threshold, false match rate and likelihood ratio.

All of it comes from the parameters of `verify_faces/config.pbtxt`, where `mien-export build` puts
what a calibration report measured. FMR is the share of pairs of two people whose similarity reaches
the threshold (ISO/IEC 19795-1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien_server.contract import ModelContract
from mien_server.errors import ServingError

__all__ = ["DecisionRule", "decision_rule_from_contract"]

_NOT_CALIBRATED = "none"
# A rate that came as FP32 is off by 6e-8 of itself.
_SAME_RATE = 1e-6

Table = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """How similarities are judged.

    Attributes:
        threshold: where the request names no FMR.
        fmr: of that threshold; NaN where it is not known.
        thresholds: (FMR, threshold), FMR ascending; empty where not calibrated.
        likelihood_ratio: (similarity, log10 likelihood ratio), both ascending; empty where not
            calibrated.
    """

    threshold: float
    fmr: float = math.nan
    thresholds: Table = ()
    likelihood_ratio: Table = ()

    def operating_point(self, fmr: float | None) -> tuple[float, float]:
        """The threshold to use, and its FMR.

        Between two calibrated rates the threshold is linear in the logarithm of the rate; beyond
        them nothing was measured, so nothing is said.

        Args:
            fmr: the wanted rate; None for the default threshold.

        Raises:
            ServingError: INVALID_OPTION: the rate is not between calibrated ones.
        """
        if fmr is None:
            return self.threshold, self.fmr
        for known, threshold in self.thresholds:
            if math.isclose(fmr, known, rel_tol=_SAME_RATE):
                return threshold, known
        if not (self.thresholds and self.thresholds[0][0] < fmr < self.thresholds[-1][0]):
            raise ServingError("INVALID_OPTION", f"fmr is {fmr:.3g}; {self._offer()}")
        rates, thresholds = zip(*self.thresholds, strict=True)
        return float(np.interp(math.log(fmr), np.log(rates), thresholds)), fmr

    def log10_likelihood_ratio(self, similarity: NDArray[np.float32]) -> NDArray[np.float32]:
        """How many powers of ten likelier a similarity is of one person than of two.

        Args:
            similarity: (N,), NaN allowed.

        Returns:
            (N,) constant beyond the calibrated similarities; NaN for NaN, and where not calibrated.
        """
        if not self.likelihood_ratio:
            return np.full(len(similarity), np.nan, np.float32)
        knots, ratios = zip(*self.likelihood_ratio, strict=True)
        interpolated: NDArray[np.float64] = np.interp(similarity, knots, ratios)
        return interpolated.astype(np.float32)

    def _offer(self) -> str:
        if not self.thresholds:
            return (
                "this server's threshold has no calibration. Leave fmr out, or build the "
                "repository with --calibration-report"
            )
        rates = ", ".join(f"{rate:.3g}" for rate, _ in self.thresholds)
        return f"this server is calibrated for {rates} and what lies between. Choose one of these"


def decision_rule_from_contract(contract: ModelContract) -> DecisionRule:
    """The rule that the parameters of `verify_faces` describe.

    Raises:
        ValueError: a parameter is missing, no such table, or not monotone.
    """
    thresholds = _table(contract, "thresholds")[::-1]
    likelihood_ratio = _table(contract, "likelihood_ratio")
    _require_ascending(contract, "thresholds", thresholds, falls=True)
    _require_ascending(contract, "likelihood_ratio", likelihood_ratio, falls=False)
    if thresholds and not 0 < thresholds[0][0] <= thresholds[-1][0] < 1:
        raise ValueError(f"parameter 'thresholds' of {contract.name} has rates outside 0..1")
    is_known = contract.parameter("fmr") != _NOT_CALIBRATED
    return DecisionRule(
        threshold=contract.number("threshold"),
        fmr=contract.number("fmr") if is_known else math.nan,
        thresholds=thresholds,
        likelihood_ratio=likelihood_ratio,
    )


def _table(contract: ModelContract, key: str) -> Table:
    text = contract.parameter(key)
    if text == _NOT_CALIBRATED:
        return ()
    try:
        pairs = (item.split(":") for item in text.split(","))
        table = tuple((float(left), float(right)) for left, right in pairs)
    except ValueError:
        table = ()
    if not table or not np.isfinite(table).all():
        raise ValueError(
            f"parameter {key!r} of {contract.name} is {text!r}; it must be 'none' or pairs of "
            "numbers as in '1e-02:0.21,1e-03:0.31'. Build the repository again"
        )
    return table


def _require_ascending(contract: ModelContract, key: str, table: Table, *, falls: bool) -> None:
    sign = -1 if falls else 1
    if any(b[0] <= a[0] or sign * (b[1] - a[1]) < 0 for a, b in pairwise(table)):
        raise ValueError(
            f"parameter {key!r} of {contract.name} is not in order: {table}. Build the repository "
            "again"
        )
