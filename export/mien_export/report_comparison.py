# SPDX-License-Identifier: Apache-2.0
"""What another graph, such as an int8 one, does to the error rates: two reports, one number."""

from __future__ import annotations

from dataclasses import dataclass

from mien_export.calibration_report import CalibrationReport

FMR = 1e-3
# 0.2 percentage points: what int8 may cost.
LARGEST_INT8_SHIFT = 0.002


@dataclass(frozen=True)
class FnmrShift:
    """FNMR at one FMR in two reports, each at its own threshold.

    Attributes:
        wanted_fmr: where both are taken.
        fnmr: of the report.
        other_fnmr: of the one it is compared with.
        precision: of the report's graph.
        other_precision: of the other's.
        same_crops: both were measured on the same crops: the shift is that of the graphs alone.
        same_weights: both graphs have the same weights.
        supported: both reports support that FMR.
    """

    wanted_fmr: float
    fnmr: float
    other_fnmr: float
    precision: str
    other_precision: str
    same_crops: bool
    same_weights: bool
    supported: bool

    @property
    def shift(self) -> float:
        """How much higher the report's FNMR is, as a rate."""
        return self.fnmr - self.other_fnmr

    def in_words(self, other_name: str) -> str:
        """One line for people."""
        text = (
            f"FNMR at FMR {self.wanted_fmr:g}: {100 * self.fnmr:.3f} % in {self.precision}, "
            f"{100 * self.other_fnmr:.3f} % in {self.other_precision} ({other_name}): shift "
            f"{100 * self.shift:+.3f} percentage points"
        )
        if self.precision == "int8" and self.same_weights and self.same_crops:
            verdict = "within" if self.shift <= LARGEST_INT8_SHIFT else "BEYOND"
            text += f", {verdict} the {100 * LARGEST_INT8_SHIFT:g} that int8 may cost"
        if not self.same_crops:
            text += "; measured on different crops, so not of the graphs alone"
        if not self.supported:
            text += "; measured on too few people for this FMR"
        return text + "."


def compare_reports(
    report: CalibrationReport, other: CalibrationReport, wanted_fmr: float = FMR
) -> FnmrShift:
    """Find the shift of the FNMR from another report to this one.

    Args:
        report: for example of the int8 graph.
        other: for example of the fp32 graph.
        wanted_fmr: where both must have an operating point.

    Raises:
        CalibrationError: one of them has none there.
    """
    point, other_point = report.point(wanted_fmr), other.point(wanted_fmr)
    return FnmrShift(
        wanted_fmr=wanted_fmr,
        fnmr=point.fnmr,
        other_fnmr=other_point.fnmr,
        precision=report.model.precision,
        other_precision=other.model.precision,
        same_crops=report.measured_on.digest == other.measured_on.digest,
        same_weights=report.model.weights_digest == other.model.weights_digest,
        supported=point.supported and other_point.supported,
    )
