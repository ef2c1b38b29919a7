# SPDX-License-Identifier: Apache-2.0
"""``emotions``: a sheet of the six emotions on a few heads, to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.splits import identities

ENDING = ".png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, required=True, metavar="FILE", help="PNG")
    add("--work", type=Path, metavar="DIR", help="a run; the shipped weights by default")
    add("--people", type=int, nargs="+", default=[24, 33], metavar="N", help="of those held out")
    add("--size", type=int, default=150, metavar="PX", help="height of one face")


def run(arguments: argparse.Namespace, console: Console) -> int:  # noqa: ARG001
    """Draw the faces and put them together."""
    from mien_starter.emotions.picture import emotions_picture, write_picture
    from mien_starter.evaluation.networks import predictor, run_predictors
    from mien_starter.shipped import shipped
    from mien_starter.world.assets import default_assets

    if arguments.to.suffix.lower() != ENDING:
        raise UsageError(f"--to is {arguments.to}; it must end in {ENDING}.")
    if arguments.size < 32:
        raise UsageError(f"--size is {arguments.size}; it must be at least 32.")
    try:
        people = [identities("held_out", 1, first=number)[0] for number in arguments.people]
    except ValueError as error:
        raise UsageError(str(error)) from error
    name = "emotion_mlp"
    predict = (
        run_predictors(name, arguments.work)[name]
        if arguments.work
        else predictor(shipped(name).graph)
    )
    write_picture(emotions_picture(predict, people, default_assets(), arguments.size), arguments.to)
    return 0
