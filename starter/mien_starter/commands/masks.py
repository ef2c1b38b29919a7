# SPDX-License-Identifier: Apache-2.0
"""``masks``: where hair is in the photographs of a data set, beside them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.hair_masks import write_masks
from mien_starter.progress import counting
from mien_starter.shards import Photographs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="data sets")
    add("--limit", type=int, metavar="N", help="of each only about the first N photographs")
    add("--processes", type=int, default=os.cpu_count() or 1, metavar="N")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Render what is missing."""
    if arguments.processes < 1 or (arguments.limit or 1) < 1:
        raise UsageError("--processes and --limit must be at least 1.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    total = len(Photographs(arguments.data))
    total = min(total, (arguments.limit or total) * len(arguments.data))
    with counting(console, "labelling hair", total, "photographs") as on_progress:
        write_masks(
            arguments.data,
            limit=arguments.limit,
            processes=arguments.processes,
            on_progress=on_progress,
        )
    return 0
