# SPDX-License-Identifier: Apache-2.0
"""``head``: distils the head from anny; ``--check`` says how much of a person it can say."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from mien_starter.world.assets import WEIGHTS

SEED = 0
UNSEEN_SEED, UNSEEN = 99, 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, default=WEIGHTS / "head.npz", metavar="FILE")
    add("--samples", type=int, metavar="N", help="people to distil; as shipped by default")
    add("--seed", type=int, default=SEED, metavar="N")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Make the head, write it, and measure it on people that it was not made from."""
    from mien_starter.head.anny_source import AnnySource
    from mien_starter.head.asset import write_head
    from mien_starter.head.distill import SAMPLES, distil, project

    with console.status("loading anny (a minute the first time)"):
        source = AnnySource()
    with console.status("distilling"):
        head = distil(source, arguments.seed, arguments.samples or SAMPLES)
    size = write_head(head, arguments.to)
    console.print(
        f"{arguments.to}: {size / 1e6:.1f} MB, {len(head.mean)} vertices, "
        f"{len(head.assembly.faces)} triangles, {len(head.shape.std)} shape and "
        f"{len(head.expression.std)} expression components"
    )
    people = source.sample(UNSEEN, np.random.default_rng(UNSEEN_SEED))
    unseen = head.assembly.heads(people.vertices)
    codes = project(unseen - head.mean, head.shape, head.norm)
    total = float((np.square(unseen - head.mean).sum(axis=2) @ head.norm).mean())
    face = head.assembly.regions["face"]
    for count in (50, 100, len(head.shape.std)):
        rebuilt = head.mean + np.tensordot(codes[:, :count], head.shape.components[:count], 1)
        off_mm = 1000 * np.linalg.norm(rebuilt - unseen, axis=2)
        lost = float((np.square(off_mm / 1000) @ head.norm).mean())
        console.print(
            f"{count:3d} shape components: {100 * (1 - lost / total):6.2f} % of the variance of "
            f"{UNSEEN} unseen people, mean vertex error {off_mm.mean():.3f} mm "
            f"(face {off_mm[:, face].mean():.3f} mm)"
        )
    return 0
