# SPDX-License-Identifier: Apache-2.0
"""Measures the error rates of a built recogniser on labelled faces.

Letters: R resamples, T thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from mien_export.built_recognizer import find_recognizer
from mien_export.calibrated_decision import RECOGNIZER
from mien_export.calibration_report import (
    CalibrationReport,
    DetCurve,
    EqualErrorRate,
    Histogram,
    MeasuredModel,
    MeasuredOn,
    Method,
    OperatingPoint,
)
from mien_export.comparisons import Comparisons, compare_images
from mien_export.error_rates import (
    CONFIDENCE,
    RULE_OF_THREE,
    ErrorRates,
    Floats,
    binomial_bounds,
)
from mien_export.identity_bootstrap import (
    ResampledRates,
    independent_comparisons,
    resample_identities,
    resampled_bounds,
)
from mien_export.labelled_crops import read_labelled_crops
from mien_export.likelihood_ratio import LikelihoodRatio, fit_likelihood_ratio
from mien_export.manifest import tool_versions

WANTED_FMRS = (1e-2, 1e-3, 1e-4)
_CURVE_POINTS = 48  # for each kind of error
_BINS_PER_UNIT = 50

# (what begins, how much of it) -> told how much more is done
Track = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class CalibrationRequest:
    """What the user asked for.

    Attributes:
        repository: a built one.
        crops: an ``.npz``, see `read_labelled_crops`.
        name: of the data set, for people.
        precision: of the graph to run.
        max_nonmated: the most non-mated pairs to compare.
        resamples: of the identities.
        seed: of everything drawn.
    """

    repository: Path
    crops: Path
    name: str
    precision: str = "fp32"
    max_nonmated: int = 4_000_000
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Measurement:
    """Everything that follows from the comparisons alone."""

    operating_points: tuple[OperatingPoint, ...]
    equal_error_rate: EqualErrorRate
    likelihood_ratio: LikelihoodRatio
    det: DetCurve
    histogram: Histogram


def calibrate(request: CalibrationRequest, track: Track) -> CalibrationReport:
    """Embed the crops, compare them, and report what was measured.

    Args:
        request: what the user asked for.
        track: told what begins and how far it is.

    Raises:
        TargetError: the repository has no recogniser that could be run.
        UsageError: it was not built in that precision.
        CalibrationError: the crops cannot be taken, or too few pairs can be made of them.
    """
    recognizer = find_recognizer(request.repository, request.precision)
    labelled = read_labelled_crops(request.crops, recognizer.px)
    embeddings = recognizer.embed(labelled.crops, track("embedding crops", len(labelled.crops)))
    comparisons = compare_images(
        embeddings, labelled.identities, max_nonmated=request.max_nonmated, seed=request.seed
    )
    measured = measure(
        comparisons,
        resamples=request.resamples,
        seed=request.seed,
        advance=track("resampling identities", request.resamples),
    )
    return CalibrationReport(
        date=datetime.now(timezone.utc).date().isoformat(),
        measured_on=MeasuredOn(
            name=request.name,
            digest=labelled.digest,
            identities=labelled.identity_count,
            images=len(labelled.crops),
            mated_pairs=len(comparisons.mated),
            nonmated_pairs=len(comparisons.nonmated),
            nonmated_pairs_available=comparisons.nonmated_available,
            identity_pairs=comparisons.identity_pair_count,
        ),
        model=MeasuredModel(
            name=RECOGNIZER,
            network=recognizer.network,
            weights_digest=recognizer.weights_digest,
            precision=recognizer.precision,
            untrained=recognizer.untrained,
        ),
        method=Method(CONFIDENCE, request.resamples, request.seed),
        tools=tool_versions(),
        **vars(measured),
    )


def measure(
    comparisons: Comparisons,
    wanted_fmrs: Sequence[float] = WANTED_FMRS,
    *,
    resamples: int,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Measurement:
    """Find thresholds, error rates with bounds, and the likelihood ratio.

    Args:
        comparisons: what was measured.
        wanted_fmrs: FMRs to find thresholds for, falling.
        resamples: R.
        seed: of the resamples.
        advance: told how many more resamples are done.
    """
    rates = ErrorRates(comparisons.mated, comparisons.nonmated)
    chosen = np.array([rates.threshold_at_fmr(fmr) for fmr in wanted_fmrs])
    thresholds = np.union1d(chosen, rates.informative_thresholds(_CURVE_POINTS))
    resampled = resample_identities(
        comparisons, thresholds, resamples=resamples, seed=seed, advance=advance
    )
    points = tuple(
        _operating_point(comparisons, rates, resampled, index, fmr)
        for index, fmr in zip(np.searchsorted(thresholds, chosen), wanted_fmrs, strict=True)
    )
    return Measurement(
        operating_points=points,
        equal_error_rate=EqualErrorRate(*rates.equal_error_rate()),
        likelihood_ratio=fit_likelihood_ratio(
            comparisons.mated,
            comparisons.nonmated,
            independent_mated=comparisons.mated_identity_count,
            # The strictest point is nearest to the end where the bound matters.
            independent_nonmated=min(
                points[-1].independent_comparisons, comparisons.identity_pair_count
            ),
        ),
        det=_det_curve(comparisons, rates, resampled),
        histogram=_histogram(comparisons),
    )


def _operating_point(
    comparisons: Comparisons,
    rates: ErrorRates,
    resampled: ResampledRates,
    index: int,
    wanted_fmr: float,
) -> OperatingPoint:
    threshold = float(resampled.thresholds[index])
    fmr, fnmr = float(rates.fmr(threshold)), float(rates.fnmr(threshold))
    nonmated, mated = len(comparisons.nonmated), len(comparisons.mated)
    of_pairs = {"pairs": nonmated, "units": comparisons.identity_pair_count}
    of_people = {"pairs": mated, "units": comparisons.mated_identity_count}
    independent = independent_comparisons(fmr, resampled.fmr[:, index], **of_pairs)
    return OperatingPoint(
        wanted_fmr=wanted_fmr,
        threshold=threshold,
        fmr=fmr,
        fmr_bounds=resampled_bounds(fmr, resampled.fmr[:, index], **of_pairs),
        fnmr=fnmr,
        fnmr_bounds=resampled_bounds(fnmr, resampled.fnmr[:, index], **of_people),
        fmr_bounds_if_independent=binomial_bounds(round(fmr * nonmated), nonmated),
        fnmr_bounds_if_independent=binomial_bounds(round(fnmr * mated), mated),
        independent_comparisons=round(independent, 1),
        supported=min(independent, of_pairs["units"]) >= RULE_OF_THREE / wanted_fmr,
    )


def _det_curve(comparisons: Comparisons, rates: ErrorRates, resampled: ResampledRates) -> DetCurve:
    thresholds = resampled.thresholds
    fmr, fnmr = rates.fmr(thresholds), rates.fnmr(thresholds)
    units = comparisons.mated_identity_count
    bounds = [
        resampled_bounds(rate, at_this_fmr, pairs=len(comparisons.mated), units=units)
        for rate, at_this_fmr in zip(fnmr, _fnmr_at(fmr, resampled).T, strict=True)
    ]
    low, high = zip(*((bound.low, bound.high) for bound in bounds), strict=True)
    columns = (thresholds, fmr, fnmr, low, high)
    return DetCurve(*(tuple(np.round(column, 9).tolist()) for column in columns))


def _fnmr_at(fmr: Floats, resampled: ResampledRates) -> Floats:
    """(R, T) FNMR of every resample at these FMRs: along its curve both run monotonically."""
    floor = fmr[fmr > 0].min() / 10
    wanted = np.log(np.maximum(fmr, floor))
    found = np.full((len(resampled.fmr), len(fmr)), np.nan)
    for row, one_fmr, one_fnmr in zip(found, resampled.fmr, resampled.fnmr, strict=True):
        if np.isfinite(one_fmr).all():
            row[:] = np.interp(wanted, np.log(np.maximum(one_fmr, floor))[::-1], one_fnmr[::-1])
    return found


def _histogram(comparisons: Comparisons) -> Histogram:
    edges = np.arange(-_BINS_PER_UNIT, _BINS_PER_UNIT + 1) / _BINS_PER_UNIT
    mated, nonmated = (
        tuple(np.histogram(similarity, edges)[0].tolist())
        for similarity in (comparisons.mated, comparisons.nonmated)
    )
    return Histogram(tuple(edges.tolist()), mated, nonmated)
