# SPDX-License-Identifier: Apache-2.0
"""From a calibration report to the parameters of the pipeline that decides.

A calibration belongs to weights: it is refused beside any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mien_export.calibration_report import CalibrationReport, read_calibration_report
from mien_export.error_rates import RULE_OF_THREE
from mien_export.errors import CalibrationError, UsageError

PIPELINE = "verify_faces"
RECOGNIZER = "face_recognizer"
DEFAULT_FMR = 1e-3
# Set by a report only; threshold and fmr may be set by hand too.
REPORTED_PARAMETERS = ("thresholds", "likelihood_ratio", "calibration")

_NONE = "none"
_DIGEST_LENGTH = 64


def decision_parameters(path: Path | None, chosen: Mapping[str, str]) -> dict[str, str]:
    """Give the parameters of `verify_faces` that follow from a report, or from having none.

    Args:
        path: of the report; None where nothing was measured.
        chosen: parameters set by hand. With a report, ``fmr`` picks another of its thresholds as
            the default, and ``threshold`` one that it has not. Without, ``fmr`` is a claim about
            the ``threshold`` beside it.

    Raises:
        CalibrationError: the report cannot be read, or does not support the default FMR.
        UsageError: what is set by hand contradicts itself, or is no number.
    """
    if path is None:
        return _claimed(chosen)
    report = read_calibration_report(path)
    if "fmr" in chosen and "threshold" in chosen:
        raise UsageError(
            f"{PIPELINE}.fmr and {PIPELINE}.threshold are both set beside a calibration report, "
            "where one follows from the other; set one of them."
        )
    supported = {
        point.wanted_fmr: point.threshold for point in report.operating_points if point.supported
    }
    if "threshold" in chosen:
        threshold = chosen["threshold"]
        fmr = _fmr_at(report, _number("threshold", threshold), supported)
    else:
        default = _supported_fmr(report, _number("fmr", chosen.get("fmr", str(DEFAULT_FMR))))
        fmr, threshold = f"{default:g}", str(supported[default])
    curve = zip(report.likelihood_ratio.similarity, report.likelihood_ratio.log10, strict=True)
    falling = sorted(supported.items(), reverse=True)
    return {
        "threshold": threshold,
        "fmr": fmr,
        "thresholds": ",".join(f"{rate:g}:{value}" for rate, value in falling) or _NONE,
        "likelihood_ratio": ",".join(f"{knot:g}:{ratio:g}" for knot, ratio in curve),
        "calibration": _summary(report),
    }


def _claimed(chosen: Mapping[str, str]) -> dict[str, str]:
    if "fmr" in chosen and "threshold" not in chosen:
        raise UsageError(
            f"{PIPELINE}.fmr is set, but neither the threshold that has it nor a report. Add "
            f"--set {PIPELINE}.threshold=..., or --calibration-report."
        )
    for name in ("threshold", "fmr"):
        _number(name, chosen.get(name, "0"))
    # A rate that stood there before was that of another threshold.
    return {"fmr": _NONE, **chosen} if "threshold" in chosen else {}


def calibrated_weights(parameters: Mapping[str, str]) -> str | None:
    """Read from a pipeline's parameters which weights its calibration is of; None: it has none."""
    text = parameters.get("calibration", _NONE)
    return None if text == _NONE else text[-_DIGEST_LENGTH:]


def require_calibration_of(
    weights: str | None, parameters: Mapping[str, str], report: Path | None
) -> None:
    """Refuse a pipeline whose calibration is of other weights than those behind it.

    Args:
        weights: digest of those of the recogniser being published; None where there is none.
        parameters: of the pipeline.
        report: where its calibration comes from; None: it stands in the target.

    Raises:
        CalibrationError: they differ.
    """
    calibrated = calibrated_weights(parameters)
    if calibrated in (None, weights):
        return
    what, cure = (
        (f"calibration report {report}", "Calibrate the repository with these weights")
        if report
        else (
            f"the calibration that {PIPELINE} has in the target",
            f"Give --calibration-report of these weights, or --model {PIPELINE} too, to build it "
            "without calibration",
        )
    )
    raise CalibrationError(
        f"{what} is of the weights {calibrated[:12]}, but the {RECOGNIZER} being published has "
        f"{weights[:12] if weights else 'none'} (digest of network and weights file); a threshold "
        f"means nothing for other weights. {cure}."
    )


def _supported_fmr(report: CalibrationReport, fmr: float) -> float:
    point = report.point(fmr)
    if not point.supported:
        supported = [f"{p.wanted_fmr:g}" for p in report.operating_points if p.supported]
        raise CalibrationError(
            f"the calibration does not support FMR {fmr:g}: its non-mated pairs are worth "
            f"{point.independent_comparisons:,.0f} independent comparisons, and "
            f"{RULE_OF_THREE / fmr:,.0f} are needed. It supports "
            f"{', '.join(supported) or 'no rate at all'}: measure on more identities"
            + (f", or choose with --set {PIPELINE}.fmr={supported[-1]}." if supported else ".")
        )
    return point.wanted_fmr


def _fmr_at(report: CalibrationReport, threshold: float, supported: Mapping[float, float]) -> str:
    """The measured FMR of a threshold set by hand, where it lies between supported rates."""
    thresholds = supported.values()
    if not (supported and min(thresholds) <= threshold <= max(thresholds)):
        return _NONE
    return f"{float(np.interp(threshold, report.det.threshold, report.det.fmr)):.3g}"


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{PIPELINE}.{name} is {text!r}; it must be a number.") from None


def _summary(report: CalibrationReport) -> str:
    data, model = report.measured_on, report.model
    return "; ".join(
        [
            f"{' '.join(data.name.split())} ({data.digest[:12]})",
            report.date,
            f"{data.identities} identities, {data.images} images",
            f"{data.mated_pairs} mated and {data.nonmated_pairs} non-mated pairs",
            *(
                f"FMR {point.wanted_fmr:g} ({point.fmr_bounds.low:.2g} to "
                f"{point.fmr_bounds.high:.2g}): FNMR {point.fnmr:.3g} "
                f"({point.fnmr_bounds.low:.3g} to {point.fnmr_bounds.high:.3g})"
                for point in report.operating_points
                if point.supported
            ),
            f"{model.name} {model.network} {model.precision}, weights {model.weights_digest}",
        ]
    )
