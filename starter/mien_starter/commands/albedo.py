# SPDX-License-Identifier: Apache-2.0
"""``albedo``: paints textures on the shipped head and distils them to an albedo space."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.world.assets import WEIGHTS

UNSEEN = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    default = WEIGHTS / "albedo.npz"
    add("--to", type=Path, default=default, metavar="FILE", help="default: %(default)s")
    add("--samples", type=int, metavar="N", help="textures to distil; as shipped by default")
    add("--seed", type=int, default=1, metavar="N", help="of the people; as shipped by default")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Make the space, write it, and measure it on textures that it was not made from."""
    from mien_starter.skin.asset import SAMPLES, SIDE, Projection, painted, write_albedo
    from mien_starter.skin.paint import Painter
    from mien_starter.skin.texels import read_texels

    painter = Painter(read_texels(WEIGHTS / "head.npz", SIDE))
    samples = SAMPLES if arguments.samples is None else arguments.samples
    try:
        with console.status("painting and distilling"):
            size = write_albedo(painter, arguments.to, seed=arguments.seed, samples=samples)
    except ValueError as error:
        raise UsageError(str(error)) from error
    with np.load(arguments.to) as file:
        space = dict(file)
    projection = Projection(space["mean"], space["tex_dir"], space["weight"])
    directions, mean = space["tex_dir"].astype(np.float32), space["mean"].astype(np.float32)
    off = [
        np.abs(np.clip(mean + directions @ projection.codes(texture), 0, 1) - texture).mean()
        for texture in painted(painter, UNSEEN, arguments.seed + 1000)
    ]
    console.print(
        f"{arguments.to}: {size / 1e6:.1f} MB; 50 components keep "
        f"{100 * float(space['kept']):.2f} % of the variance; {UNSEEN} unseen textures are off by "
        f"{255 * np.mean(off):.2f} of 255 on average",
        soft_wrap=True,
    )
    return 0
