# SPDX-License-Identifier: Apache-2.0
"""The DET curve of a calibration report as a picture (Martin et al. 1997).

Both axes are normal deviates of the rates: similarities that spread like Gaussians give a straight
line, and small rates have room.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from mien_export.calibration_report import CalibrationReport, OperatingPoint
from mien_export.error_rates import RULE_OF_THREE, Floats
from mien_export.errors import MissingToolError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
_MORE_TICKS = (2e-4, 5e-4, 2e-3, 5e-3, 0.02, 0.1, 0.3, 0.4, 0.6, 0.7, 0.9, 0.98, 0.995)
_ENOUGH_TICKS = 6
_COLOURS = ("#0072b2", "#d55e00")  # of Okabe and Ito: told apart by colour-blind people too
_GREY = "#5b6168"
_DASHES = (0, (3, 2))
_DASHED = "dashed, hollow: beyond what so many people support"
_INCHES = (7.2, 6.6)
_DPI = 160
_HIGHEST_FMR = 0.5
_MARGIN = 0.15  # normal deviates around what is drawn


def require_plotting(path: Path) -> None:
    """Make sure that a plot can be written there, before any work is done for it.

    Raises:
        UsageError: the file's suffix is none of `SUFFIXES`.
        MissingToolError: matplotlib is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"--plot {path.name} ends in {path.suffix!r}; expected one of {', '.join(SUFFIXES)}."
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingToolError(
            "--plot needs matplotlib, which is not installed. Install it (pip install matplotlib), "
            "or leave --plot out: the report holds every number of the curve."
        ) from error


def plot_det(path: Path, report: CalibrationReport, other: CalibrationReport | None = None) -> None:
    """Draw one report, or two on the same axes, into a file.

    Args:
        path: with one of `SUFFIXES`.
        report: drawn with its band and operating points.
        other: drawn as a second curve with its band.

    Raises:
        UsageError: the file's suffix is none of `SUFFIXES`.
        MissingToolError: matplotlib is not installed.
    """
    require_plotting(path)
    from matplotlib.figure import Figure

    reports = [report] if other is None else [report, other]
    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    limits = _limits(reports)
    _draw_frame(axes, *limits)
    for one, colour in zip(reports, _COLOURS, strict=False):
        _draw_curve(axes, one, colour, limits)
    for point in report.operating_points:
        _draw_point(axes, point, limits)
    axes.plot([], [], color=_GREY, linewidth=1.2, linestyle=_DASHES, label=_DASHED)
    figure.legend(loc="outside lower left", frameon=False, fontsize=9)
    axes.set_title(_title(report), loc="left", fontsize=10)
    figure.savefig(path, dpi=_DPI, metadata=_WITHOUT_DATE.get(path.suffix))


# The same report gives the same file.
_WITHOUT_DATE: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def _limits(reports: Sequence[CalibrationReport]) -> tuple[tuple[float, float], ...]:
    """The range of each axis, as rates: FMRs up to a half, and the FNMRs at them."""
    wanted = [point.wanted_fmr for report in reports for point in report.operating_points]
    fmr = np.concatenate([report.det.fmr for report in reports])
    fnmr = np.concatenate([report.det.fnmr for report in reports])
    lowest = max(fmr[fmr > 0].min(), min(wanted) / 3)
    shown = fnmr[(fmr >= lowest) & (fmr <= _HIGHEST_FMR) & (fnmr > 0) & (fnmr < 1)]
    low, high = (shown.min(), shown.max()) if len(shown) else (1e-3, 0.5)
    return (
        (_beyond(min(lowest, *wanted), -_MARGIN), _HIGHEST_FMR),
        (_beyond(min(low, 0.04), -_MARGIN), _beyond(max(high, 0.3), 2 * _MARGIN)),
    )


def _beyond(rate: float, deviates: float) -> float:
    return float(ndtr(ndtri(rate) + deviates))


def _draw_frame(axes: Axes, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
    for axis, limits, set_limits, name in (
        (axes.xaxis, x_range, axes.set_xlim, "false match rate"),
        (axes.yaxis, y_range, axes.set_ylim, "false non-match rate"),
    ):
        ticks = _ticks(limits)
        axis.set_ticks(ndtri(ticks), [_rate(tick) for tick in ticks])
        axis.set_label_text(name)
        set_limits(*ndtri(limits))
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    diagonal = ndtri([1e-9, 0.5])
    axes.plot(diagonal, diagonal, color=_GREY, linewidth=0.8, linestyle=":", label="equal rates")


def _ticks(limits: tuple[float, float]) -> list[float]:
    ticks = [tick for tick in _TICKS if limits[0] <= tick <= limits[1]]
    if len(ticks) >= _ENOUGH_TICKS:
        return ticks
    return ticks + [tick for tick in _MORE_TICKS if limits[0] <= tick <= limits[1]]


def _draw_curve(
    axes: Axes, report: CalibrationReport, colour: str, limits: tuple[tuple[float, float], ...]
) -> None:
    det = report.det
    x, y, low, high = (
        _deviates(values, limit)
        for values, limit in (
            (det.fmr, limits[0]), (det.fnmr, limits[1]),
            (det.fnmr_low, limits[1]), (det.fnmr_high, limits[1]),
        )
    )  # fmt: skip
    fmr = np.array(det.fmr)
    seen = (fmr >= limits[0][0]) & (fmr <= limits[0][1])
    supported = seen & (fmr >= RULE_OF_THREE / _comparisons(report))
    axes.fill_between(x[seen], low[seen], high[seen], color=colour, alpha=0.15, linewidth=0)
    axes.plot(x[seen], y[seen], color=colour, linewidth=1.2, linestyle=_DASHES)
    axes.plot(x[supported], y[supported], color=colour, linewidth=2, label=_label(report))


def _draw_point(axes: Axes, point: OperatingPoint, limits: tuple[tuple[float, float], ...]) -> None:
    if point.fmr == 0:
        return
    x = _deviates([point.fmr], limits[0])[0]
    y = _deviates([point.fnmr], limits[1])[0]
    face = _COLOURS[0] if point.supported else "white"
    axes.plot(x, y, "o", color=_COLOURS[0], markerfacecolor=face, markersize=6, zorder=4)
    words = f"threshold {point.threshold:.3f}\nFNMR {_rate(point.fnmr)}"
    if not point.supported:
        words += "\nnot supported"
    axes.annotate(words, (x, y), xytext=(7, 7), textcoords="offset points", fontsize=8, color=_GREY)


def _deviates(rates: Sequence[float] | Floats, limits: tuple[float, float]) -> Floats:
    """Normal deviates; what lies outside the axes is drawn on their edge."""
    deviates: Floats = ndtri(np.clip(rates, *limits))
    return deviates


def _comparisons(report: CalibrationReport) -> float:
    strictest = report.operating_points[-1].independent_comparisons
    return min(strictest, report.measured_on.identity_pairs)


def _rate(rate: float) -> str:
    """In percent, with two digits where they mean something."""
    percent = 100 * rate
    return f"{percent:.4f}".rstrip("0").rstrip(".") + " %" if percent < 1 else f"{percent:.3g} %"


def _label(report: CalibrationReport) -> str:
    model = report.model
    untrained = ", random weights" if model.untrained else ""
    eer = _rate(float(f"{report.equal_error_rate.rate:.2g}"))
    return f"{model.network}, {model.precision}{untrained}: equal error rate {eer}"


def _title(report: CalibrationReport) -> str:
    data = report.measured_on
    return (
        f"{data.name}, {report.date}\n{data.identities:,} identities, {data.images:,} images, "
        f"{data.mated_pairs:,} mated and {data.nonmated_pairs:,} non-mated pairs; band: 95 %"
    )
