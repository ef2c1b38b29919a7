# SPDX-License-Identifier: Apache-2.0
"""``mien-export calibrate``: arguments, progress, and the table at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mien_export.calibrate import CalibrationRequest, Track, calibrate
from mien_export.calibration_report import (
    CalibrationReport,
    read_calibration_report,
)
from mien_export.det_plot import plot_det, require_plotting
from mien_export.error_rates import Bounds
from mien_export.errors import CalibrationError, TargetError, UsageError
from mien_export.report_comparison import compare_reports
from mien_export.spec import PRECISIONS


def add_calibrate(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    defaults = CalibrationRequest(Path(), Path(), "")
    add("repository", type=Path, metavar="REPOSITORY", help="a built one")
    add(
        "--crops", type=Path, required=True, metavar="FILE.npz",
        help="crops (N, 112, 112, 3) uint8 RGB and identities (N,)",
    )  # fmt: skip
    add("--to", type=Path, required=True, metavar="REPORT.json", help="report to write")
    add("--name", metavar="TEXT", help="of the data set; the file's name by default")
    add("--precision", default=defaults.precision, choices=PRECISIONS, help="of the graph to run")
    add(
        "--max-pairs", type=int, default=defaults.max_nonmated, metavar="N",
        help="the most non-mated pairs to compare (default %(default)s); of more, a sample",
    )  # fmt: skip
    add(
        "--resamples", type=int, default=defaults.resamples, metavar="N",
        help="of the identities, for the bounds (default %(default)s)",
    )  # fmt: skip
    add("--seed", type=int, default=defaults.seed, metavar="N", help="of everything drawn")
    add("--plot", type=Path, metavar="FILE", help="DET curve: .png, .svg or .pdf")
    add("--compare", type=Path, metavar="REPORT.json", help="another report to compare with")


def run_calibrate(arguments: argparse.Namespace) -> int:
    """Measure, write the report and the plot, and print what was found; the exit status."""
    if arguments.plot:
        require_plotting(arguments.plot)
    other = read_calibration_report(arguments.compare) if arguments.compare else None
    with _progress() as track:
        report = calibrate(_request(arguments), track)
    _write(arguments.to, report.to_json())
    if arguments.plot:
        plot_det(arguments.plot, report, other)
    print_report(report)
    if other:
        print_comparison(report, other, arguments.compare)
    return 0


def _request(arguments: argparse.Namespace) -> CalibrationRequest:
    for option, value, least in (
        ("--max-pairs", arguments.max_pairs, 1),
        ("--resamples", arguments.resamples, 100),
        ("--seed", arguments.seed, 0),
    ):
        if value < least:
            raise UsageError(f"{option} is {value}; it must be at least {least}.")
    if not arguments.to.parent.is_dir():
        raise UsageError(f"--to {arguments.to} lies in no directory; make it first.")
    return CalibrationRequest(
        repository=arguments.repository,
        crops=arguments.crops,
        name=arguments.name or arguments.crops.stem,
        precision=arguments.precision,
        max_nonmated=arguments.max_pairs,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )


@contextmanager
def _progress() -> Iterator[Track]:
    """Bars on a terminal, plain lines anywhere else; on stderr, as results go to stdout."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:

        def track(text: str, total: int) -> Callable[[int], None]:
            if not console.is_terminal:
                console.print(f"{text}: {total}", highlight=False, markup=False)
            task = bars.add_task(text, total=total)
            return lambda count: bars.advance(task, count)

        yield track


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {error.strerror}.") from error


def print_report(report: CalibrationReport, console: Console | None = None) -> None:
    """Print the operating points, and what not to believe."""
    console = console or Console()
    table = Table("wanted FMR", "threshold", "FMR, 95 %", "FNMR, 95 %", "supported")
    for point in report.operating_points:
        table.add_row(
            f"{point.wanted_fmr:g}",
            f"{point.threshold:.6f}",
            _interval(point.fmr, point.fmr_bounds),
            _interval(point.fnmr, point.fnmr_bounds),
            "yes" if point.supported else Text("no", style="bold red"),
        )
    console.print(table)
    data, rate = report.measured_on, report.equal_error_rate
    console.print(
        f"{data.identities} identities, {data.images} images, {data.mated_pairs} mated and "
        f"{data.nonmated_pairs} non-mated pairs; equal error rate {rate.rate:.4f} at "
        f"{rate.threshold:.4f}",
        highlight=False,
        soft_wrap=True,
    )
    if not all(point.supported for point in report.operating_points):
        console.print(
            "Not supported: too few people were compared to know such a rate. The build leaves "
            "these thresholds out.",
            highlight=False,
            soft_wrap=True,
        )
    if report.model.untrained:
        text = "UNTRAINED: the weights are random, these rates say nothing about any recogniser."
        console.print(Panel(Text(text, style="bold white on red"), style="red"))


def _interval(rate: float, bounds: Bounds) -> str:
    return f"{rate:.3g} ({bounds.low:.2g} to {bounds.high:.2g})"


def print_comparison(
    report: CalibrationReport,
    other: CalibrationReport,
    path: Path,
    console: Console | None = None,
) -> None:
    """Print how the FNMR moves from another report to this one."""
    console = console or Console()
    try:
        shift = compare_reports(report, other)
    except CalibrationError as error:
        console.print(f"{path.name}: {error}", highlight=False, markup=False, soft_wrap=True)
        return
    console.print(shift.in_words(path.name), highlight=False, markup=False, soft_wrap=True)
