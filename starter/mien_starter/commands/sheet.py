# SPDX-License-Identifier: Apache-2.0
"""``sheet``: contact sheets of synthetic people, to look at."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.progress import counting
from mien_starter.splits import SPLITS, identities

if TYPE_CHECKING:
    from mien_starter.world import World

ENDINGS = (".jpg", ".jpeg", ".png")
KINDS = ("people", "shots", "heads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, required=True, metavar="FILE", help="PNG or JPEG")
    add(
        "--kind",
        choices=KINDS,
        default="people",
        help="people: one portrait each; shots: a row of photographs each; heads: bald, mean skin",
    )
    add("--split", default="held_out", choices=tuple(SPLITS))
    add("--first", type=int, default=0, metavar="N", help="skip so many people of the split")
    add("--rows", type=int, default=8, metavar="N")
    add("--columns", type=int, default=8, metavar="N")
    add("--size", type=int, default=160, metavar="PX", help="side of one picture")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Render the pictures and put them together."""
    from mien_starter.sheets import OVERSAMPLE, write_sheet
    from mien_starter.world import World

    if min(arguments.rows, arguments.columns) < 1 or arguments.size < 32:
        raise UsageError("--rows and --columns must be at least 1, --size at least 32.")
    if arguments.to.suffix.lower() not in ENDINGS:
        raise UsageError(f"--to is {arguments.to}; it must end in {', '.join(ENDINGS)}.")
    count = arguments.rows * arguments.columns
    number = arguments.rows if arguments.kind == "shots" else count
    try:
        people = identities(arguments.split, number, arguments.first)
    except ValueError as error:
        raise UsageError(str(error)) from error
    world = World(OVERSAMPLE * arguments.size)
    pictures = []
    with counting(console, "rendering", count, "pictures") as on_progress:
        for picture in _pictures(arguments.kind, world, people, arguments.columns):
            pictures.append(picture)
            on_progress(len(pictures))
    write_sheet(pictures, arguments.columns, arguments.to)
    return 0


def _pictures(
    kind: str, world: World, people: range, shots: int
) -> Iterator[npt.NDArray[np.uint8]]:
    from mien_starter.sheets import bare_head, portrait

    for person in people:
        if kind == "shots":
            yield from (world.photograph(person, shot).image_rgb for shot in range(shots))
        elif kind == "heads":
            yield bare_head(world, person)
        else:
            yield portrait(world, person)
