# SPDX-License-Identifier: Apache-2.0
"""``head``: distils the head from anny, and says how much of unseen people it can say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.world.assets import WEIGHTS

if TYPE_CHECKING:
    from mien_starter.head.anny_source import AnnySource
    from mien_starter.head.distill import Distilled

UNSEEN_SEED, UNSEEN = 99, 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    default = WEIGHTS / "head.npz"
    add("--to", type=Path, default=default, metavar="FILE", help="default: %(default)s")
    add("--samples", type=int, metavar="N", help="people to distil; as shipped by default")
    add("--seed", type=int, default=0, metavar="N", help="of the people; as shipped by default")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Make the head, write it, and measure it on people that it was not made from."""
    from mien_starter.head.anny_source import AnnySource
    from mien_starter.head.asset import write_head
    from mien_starter.head.distill import SAMPLES, distil

    with console.status("loading anny (a minute the first time)"):
        source = AnnySource()
    samples = SAMPLES if arguments.samples is None else arguments.samples
    try:
        with console.status("distilling"):
            head = distil(source, arguments.seed, samples)
    except ValueError as error:
        raise UsageError(str(error)) from error
    size = write_head(head, arguments.to)
    console.print(
        f"{arguments.to}: {size / 1e6:.1f} MB, {len(head.mean)} vertices, "
        f"{len(head.assembly.faces)} triangles, {len(head.shape.std)} shape and "
        f"{len(head.expression.std)} expression components",
        soft_wrap=True,
    )
    for line in _on_unseen_people(source, head):
        console.print(line, soft_wrap=True)
    return 0


def _on_unseen_people(source: AnnySource, head: Distilled) -> list[str]:
    from mien_starter.head.distill import project

    people = source.sample(UNSEEN, np.random.default_rng(UNSEEN_SEED))
    unseen = head.assembly.heads(people.vertices)
    codes = project(unseen - head.mean, head.shape, head.norm)
    face = head.assembly.regions["face"]
    total = float((np.square(unseen - head.mean).sum(axis=2) @ head.norm).mean())
    lines = []
    for count in (0, 50, 100, len(head.shape.std)):
        rebuilt = head.mean + np.tensordot(codes[:, :count], head.shape.components[:count], 1)
        off = np.linalg.norm(rebuilt - unseen, axis=2)
        lost = float((np.square(off) @ head.norm).mean())
        lines.append(
            f"{count:3d} shape components: {100 * (1 - lost / total):6.2f} % of the variance of "
            f"{UNSEEN} unseen people, mean vertex error {1000 * off.mean():.3f} mm "
            f"(face {1000 * off[:, face].mean():.3f} mm)"
        )
    return lines
