# SPDX-License-Identifier: Apache-2.0
"""``sheet``: contact sheets of synthetic people, to look at."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
from rich.console import Console

from mien_starter.progress import counting
from mien_starter.splits import identities

Image = npt.NDArray[Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, required=True, metavar="FILE", help="PNG or JPEG")
    add(
        "--kind",
        choices=("people", "shots", "heads"),
        default="people",
        help="people: one portrait each; shots: a row of photographs each; heads: bald and grey",
    )
    add("--split", default="held_out", choices=("train", "calibrate", "held_out"))
    add("--first", type=int, default=0, metavar="N", help="skip so many people of the split")
    add("--rows", type=int, default=8, metavar="N")
    add("--columns", type=int, default=8, metavar="N")
    add("--size", type=int, default=160, metavar="PX", help="side of one picture")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Render the pictures and put them together."""
    from mien_starter.sheets import write_sheet
    from mien_starter.world import World

    world = World(arguments.size)
    count = arguments.rows * arguments.columns
    people = identities(
        arguments.split,
        arguments.rows if arguments.kind == "shots" else count,
        arguments.first,
    )
    pictures: list[Image] = []
    with counting(console, "rendering", count, "pictures") as on_progress:
        for picture in _pictures(arguments, world, people):
            pictures.append(picture)
            on_progress(len(pictures))
    write_sheet(pictures, arguments.columns, arguments.to)
    return 0


def _pictures(arguments: argparse.Namespace, world: Any, people: range) -> Iterator[Image]:
    from mien_starter.sheets import bare_head, portrait

    if arguments.kind == "shots":
        for person in people:
            for shot in range(arguments.columns):
                yield world.photograph(person, shot).image_rgb
        return
    picture: Callable[[Any, int], Image] = portrait if arguments.kind == "people" else bare_head
    for person in people:
        yield picture(world, person)
