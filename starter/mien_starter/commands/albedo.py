# SPDX-License-Identifier: Apache-2.0
"""``albedo``: paints textures on the shipped head and distils them to an albedo space."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from mien_starter.world.assets import WEIGHTS

UNSEEN = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, default=WEIGHTS / "albedo.npz", metavar="FILE")
    add("--samples", type=int, metavar="N", help="textures to distil; as shipped by default")
    add("--seed", type=int, default=1, metavar="N")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Make the space, write it, and measure it on textures that it was not made from."""
    from mien_starter.skin.asset import SAMPLES, painted, project, write_albedo
    from mien_starter.skin.paint import Painter
    from mien_starter.world.assets import Assets

    painter = Painter(Assets().texels)
    with console.status("painting and distilling"):
        size = write_albedo(
            painter, arguments.to, seed=arguments.seed, samples=arguments.samples or SAMPLES
        )
    with np.load(arguments.to) as file:
        space = dict(file)
    unseen = painted(painter, UNSEEN, arguments.seed + 1000)
    codes = project(unseen, space, space["weight"])
    rebuilt = space["mean"] + np.tensordot(codes, space["tex_dir"].astype(np.float32), (1, 3))
    off = np.abs(np.clip(rebuilt, 0, 1) - unseen).mean()
    console.print(
        f"{arguments.to}: {size / 1e6:.1f} MB; 50 components keep {100 * float(space['kept']):.2f} % "
        f"of the variance; {UNSEEN} unseen textures are off by {255 * off:.2f} of 255 on average"
    )
    return 0
