# SPDX-License-Identifier: Apache-2.0
"""``dataset``: photographs of synthetic people with every label, in shards."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from mien_starter.dataset import DatasetPlan, PhotographWorld, render
from mien_starter.errors import UsageError
from mien_starter.progress import counting

SPLITS = ("train", "calibrate", "held_out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--split", choices=SPLITS, required=True, help="which people")
    add("--identities", type=int, required=True, metavar="N", help="how many of them")
    add("--shots", type=int, required=True, metavar="N", help="photographs of each")
    add("--first", type=int, default=0, metavar="N", help="skip so many people of the split")
    add("--negatives", type=int, default=0, metavar="N", help="images without a face besides")
    add("--to", type=Path, required=True, metavar="DIR", help="finished shards in it are kept")
    add("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    add("--seed", type=int, default=0, metavar="N", help="of the order of the photographs")
    add("--size", type=int, default=256, metavar="PX", help="side of the photographs")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Render what is missing."""
    if min(arguments.identities, arguments.shots, arguments.processes) < 1:
        raise UsageError("--identities, --shots and --processes must be at least 1.")
    if min(arguments.first, arguments.negatives) < 0:
        raise UsageError("--first and --negatives must not be negative.")
    plan = DatasetPlan(
        split=arguments.split,
        identities=arguments.identities,
        shots=arguments.shots,
        first=arguments.first,
        negatives=arguments.negatives,
        seed=arguments.seed,
        size_px=arguments.size,
    )
    # The processes would otherwise start as many threads each as there are cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    total = plan.identities * plan.shots + plan.negatives
    with counting(console, f"rendering {arguments.split}", total, "photographs") as on_progress:
        render(
            plan,
            arguments.to,
            _make_world,
            processes=arguments.processes,
            on_progress=on_progress,
        )
    return 0


def _make_world(size_px: int) -> PhotographWorld:
    from mien_starter.world import World

    return World(size_px)
