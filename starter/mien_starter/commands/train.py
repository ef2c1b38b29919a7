# SPDX-License-Identifier: Apache-2.0
"""``train NAME``: follow the network's recipe; started again, it goes on where it stopped."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.progress import counting
from mien_starter.recipes import NAMES, WITHOUT_PHOTOGRAPHS, recipe_module

DEFAULT_WORK = Path("build/starter")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="data sets")
    add("--steps", type=int, metavar="N", help="instead of the recipe's; bends its schedule too")
    add("--work", type=Path, metavar="DIR", help=f"of this run (default {DEFAULT_WORK}/NAME)")
    add("--start", type=Path, metavar="DIR", help="a run of this network to begin from")
    add("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="that compute")
    add("--compile", action="store_true", help="fuse operations; asks for a C++ compiler")
    add("--workers", type=int, default=1, metavar="N", help="processes that make batches")


def require_data(name: str | None, data: Sequence[Path]) -> None:
    """Ask for data sets where photographs are looked at, and for none where they are not.

    Raises:
        UsageError: it is the other way round.
    """
    if bool(data) == (name in WITHOUT_PHOTOGRAPHS):
        raise UsageError(
            f"{name} looks at no photographs; leave --data out."
            if data
            else "give data sets with --data DIR; `dataset` renders them."
        )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train, or finish training."""
    import torch

    from mien_starter.training.loop import train
    from mien_starter.training.start import begin_from

    if arguments.threads < 1 or arguments.workers < 0 or (arguments.steps or 1) < 1:
        raise UsageError("--threads and --steps must be at least 1, --workers at least 0.")
    require_data(arguments.name, arguments.data)
    torch.set_num_threads(arguments.threads)
    module = recipe_module(arguments.name)
    recipe = module.RECIPE
    if arguments.steps:
        recipe = dataclasses.replace(recipe, steps=arguments.steps)
    directory = arguments.work or DEFAULT_WORK / arguments.name
    task = module.make_task(recipe, arguments.data, directory.parent)
    if arguments.start:
        begin_from(task, arguments.start)
    if arguments.compile:
        task.network.compile()
    console.print(f"{recipe}\n{task.data}", highlight=False, markup=False, soft_wrap=True)
    with counting(console, arguments.name, recipe.steps, "steps") as on_progress:
        train(task, directory, workers=arguments.workers, on_progress=on_progress)
    console.print(f"finished: {directory}", highlight=False, markup=False, soft_wrap=True)
    return 0
