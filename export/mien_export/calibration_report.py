# SPDX-License-Identifier: Apache-2.0
"""What `mien-export calibrate` measured, as a file: schema 1 of a calibration report.

Rates are shares, 0 to 1, and bounds are of 95 % unless the method says otherwise.
`docs/calibration.md` explains the method.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mien_export.error_rates import Bounds
from mien_export.errors import CalibrationError
from mien_export.likelihood_ratio import LikelihoodRatio
from mien_export.strict_json import from_json

SCHEMA = 1

Numbers = tuple[float, ...]
Counts = tuple[int, ...]


@dataclass(frozen=True)
class MeasuredOn:
    """The data set.

    Attributes:
        name: for people.
        digest: of pixels and identities.
        identities: how many people.
        images: how many crops.
        mated_pairs: how many were compared: all there are.
        nonmated_pairs: how many were compared.
        nonmated_pairs_available: how many there are.
        identity_pairs: how many different pairs of people were compared.
    """

    name: str
    digest: str
    identities: int
    images: int
    mated_pairs: int
    nonmated_pairs: int
    nonmated_pairs_available: int
    identity_pairs: int


@dataclass(frozen=True)
class MeasuredModel:
    """The graph.

    Attributes:
        name: of the model in the repository.
        network: that it was built from.
        weights_digest: of network and weights, see `manifest.weights_digest`.
        precision: of the graph that was run.
        untrained: the weights are random, and all of this means nothing.
    """

    name: str
    network: str
    weights_digest: str
    precision: str
    untrained: bool


@dataclass(frozen=True)
class Method:
    """How bounds were found.

    Attributes:
        confidence: of every interval.
        resamples: of the identities.
        seed: of the resamples, and of the sample of non-mated pairs.
    """

    confidence: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold.

    Attributes:
        wanted_fmr: what the threshold was chosen for.
        threshold: the lowest, with six decimals, whose FMR is not above the wanted one.
        fmr: that was measured at it.
        fmr_bounds: see `identity_bootstrap`.
        fnmr: that was measured at it.
        fnmr_bounds: likewise.
        fmr_bounds_if_independent: Clopper-Pearson, as if no two pairs shared a person.
        fnmr_bounds_if_independent: likewise.
        independent_comparisons: how many independent non-mated comparisons would give the FMR the
            uncertainty that it has.
        supported: these, and the pairs of people, are at least 3 / wanted FMR: if nothing had
            matched, the rule of three would have bounded the FMR by the wanted one.
    """

    wanted_fmr: float
    threshold: float
    fmr: float
    fmr_bounds: Bounds
    fnmr: float
    fnmr_bounds: Bounds
    fmr_bounds_if_independent: Bounds
    fnmr_bounds_if_independent: Bounds
    independent_comparisons: float
    supported: bool


@dataclass(frozen=True)
class EqualErrorRate:
    """Where FMR and FNMR meet."""

    rate: float
    threshold: float


@dataclass(frozen=True)
class DetCurve:
    """The curve of error rates, thresholds rising.

    Attributes:
        threshold: where it was measured.
        fmr: at each threshold.
        fnmr: at each threshold.
        fnmr_low: lower bound of the FNMR at that FMR, the threshold found anew in each resample.
        fnmr_high: upper bound, likewise.
    """

    threshold: Numbers
    fmr: Numbers
    fnmr: Numbers
    fnmr_low: Numbers
    fnmr_high: Numbers


@dataclass(frozen=True)
class Histogram:
    """Pairs by similarity: `edges` has one number more than the counts."""

    edges: Numbers
    mated: Counts
    nonmated: Counts


@dataclass(frozen=True)
class CalibrationReport:
    """The contents of one report."""

    date: str
    measured_on: MeasuredOn
    model: MeasuredModel
    method: Method
    operating_points: tuple[OperatingPoint, ...]
    equal_error_rate: EqualErrorRate
    likelihood_ratio: LikelihoodRatio
    det: DetCurve
    histogram: Histogram
    tools: dict[str, str]
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Give the text of the file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def point(self, wanted_fmr: float) -> OperatingPoint:
        """Find the operating point of a wanted FMR.

        Raises:
            CalibrationError: the report has none.
        """
        for point in self.operating_points:
            if abs(point.wanted_fmr - wanted_fmr) <= 1e-9 * wanted_fmr:
                return point
        measured = ", ".join(f"{point.wanted_fmr:g}" for point in self.operating_points)
        raise CalibrationError(
            f"the calibration report has no threshold at FMR {wanted_fmr:g}; it has {measured}."
        )


def read_calibration_report(path: Path) -> CalibrationReport:
    """Read a report strictly.

    Raises:
        CalibrationError: the file is missing, or is no report of this schema.
    """
    remedy = "Make it with mien-export calibrate."
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise ValueError(f"its schema is {schema!r}; expected {SCHEMA}")
        return from_json(CalibrationReport, document)
    except (OSError, ValueError) as error:
        raise CalibrationError(
            f"calibration report {path} cannot be taken: {error}. {remedy}"
        ) from error
