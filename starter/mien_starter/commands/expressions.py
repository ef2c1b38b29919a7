# SPDX-License-Identifier: Apache-2.0
"""``expressions``: onset and apex of posed and spontaneous expressions, as crops with labels."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from mien_starter.commands.dataset import SPLITS
from mien_starter.errors import UsageError
from mien_starter.progress import counting
from mien_starter.splits import identities
from mien_starter.spontaneity.making import (
    ExpressionPlan,
    RecordsExpressions,
    write_expressions,
)
from mien_starter.spontaneity.recording import SIZE_PX

ENDINGS = (".jpg", ".jpeg", ".png")
SHEET_SIZE_PX = 2 * SIZE_PX
_QUALITY = 88


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--split", choices=SPLITS, required=True, help="which people")
    add("--subjects", type=int, required=True, metavar="N", help="how many of them")
    add("--takes", type=int, default=2, metavar="N", help="of each emotion, posed and felt")
    add("--first", type=int, default=0, metavar="N", help="skip so many people of the split")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--to", type=Path, metavar="DIR", help="finished shards in it are kept")
    to.add_argument("--sheet", type=Path, metavar="FILE", help="draw one take to look at instead")
    to.add_argument("--measure", action="store_true", help="how well true actions tell them apart")
    add("--photographs", action="store_true", help="keep what the crops are cut from")
    add("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    add("--size", type=int, default=SIZE_PX, metavar="PX", help="side of the photographs")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Record what is missing, or draw the sheet."""
    if min(arguments.subjects, arguments.takes, arguments.processes) < 1 or arguments.first < 0:
        raise UsageError(
            "--subjects, --takes and --processes must be at least 1, --first not negative."
        )
    if arguments.size < SIZE_PX:
        raise UsageError(
            f"--size is {arguments.size}; it must be at least {SIZE_PX}, or crops are enlarged."
        )
    try:
        people = identities(arguments.split, arguments.subjects, arguments.first)
    except ValueError as error:
        raise UsageError(str(error)) from error
    # The processes would otherwise start as many threads each as there are cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.measure:
        return _measure(people, console)
    if arguments.sheet:
        return _draw(arguments.sheet, people, console)
    plan = ExpressionPlan(
        split=arguments.split,
        subjects=arguments.subjects,
        takes=arguments.takes,
        first=arguments.first,
        size_px=arguments.size,
        photographs=arguments.photographs,
    )
    purpose = f"expressions of {plan.split}"
    with counting(console, purpose, plan.pairs, "pairs") as on_progress:
        write_expressions(
            plan,
            arguments.to,
            _make_recorder,
            processes=arguments.processes,
            on_progress=on_progress,
        )
    return 0


def _measure(people: range, console: Console) -> int:
    from mien_starter.spontaneity.observers import FOLDS, observed
    from mien_starter.world.assets import default_assets

    if len(people) < FOLDS:
        raise UsageError(f"--subjects is {len(people)}; to measure takes at least {FOLDS}.")
    for known, error in observed(people, default_assets()).items():
        console.print(f"{100 * error:5.1f} % wrong by {known}", highlight=False)
    return 0


def _draw(path: Path, people: range, console: Console) -> int:
    from PIL import Image

    from mien_starter.spontaneity.picture import expressions_picture

    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--sheet is {path}; it must end in {', '.join(ENDINGS)}.")
    pairs = ExpressionPlan("train", len(people), takes=1).pairs
    with counting(console, "recording", pairs, "pairs") as on_progress:
        recorder = _make_recorder(SHEET_SIZE_PX)
        picture = expressions_picture(recorder, people, on_progress=on_progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=_QUALITY)
    return 0


def _make_recorder(size_px: int) -> RecordsExpressions:
    from mien_starter.spontaneity.recording import Recorder

    return Recorder(size_px)
