# SPDX-License-Identifier: Apache-2.0
"""``grooms``: hairstyles drawn at random, with maps of them from a few sides."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from mien_starter.commands.dataset import SPLITS
from mien_starter.errors import UsageError
from mien_starter.groom_making import GroomPlan, Wigmaker, write_grooms
from mien_starter.progress import counting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--split", choices=SPLITS, required=True, help="which styles")
    add("--styles", type=int, required=True, metavar="N", help="how many of them")
    add("--views", type=int, default=3, metavar="N", help="of each (default %(default)s)")
    add("--first", type=int, default=0, metavar="N", help="skip so many styles of the split")
    add("--to", type=Path, required=True, metavar="DIR", help="finished shards in it are kept")
    add("--processes", type=int, default=os.cpu_count() or 1, metavar="N")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Make what is missing."""
    if min(arguments.styles, arguments.views, arguments.processes) < 1 or arguments.first < 0:
        raise UsageError(
            "--styles, --views and --processes must be at least 1, --first not negative."
        )
    plan = GroomPlan(arguments.split, arguments.styles, arguments.views, arguments.first)
    # The processes would otherwise start as many threads each as there are cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with counting(console, f"grooms of {arguments.split}", plan.styles, "styles") as on_progress:
        write_grooms(
            plan,
            arguments.to,
            _make_wigmaker,
            processes=arguments.processes,
            on_progress=on_progress,
        )
    return 0


def _make_wigmaker() -> Wigmaker:
    from mien_starter.wigs import RandomWigs

    return RandomWigs()
