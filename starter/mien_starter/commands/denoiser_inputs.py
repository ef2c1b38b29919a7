# SPDX-License-Identifier: Apache-2.0
"""``denoiser_inputs``: what the generator's denoiser meets, to calibrate its int8 graph with."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from mien_starter.shipped import WEIGHTS

    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="features")
    add("--weights", type=Path, default=WEIGHTS, metavar="DIR", help="of the style encoder")
    add("--count", type=int, default=320, metavar="N", help="(default %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="(default %(default)s)")
    add("--to", type=Path, required=True, metavar="FILE", help=".npz")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write them."""
    import numpy as np

    from mien_starter.denoiser_inputs import denoiser_inputs
    from mien_starter.evaluation.networks import predictor
    from mien_starter.face_features import FaceFeatures
    from mien_starter.shipped import shipped

    if arguments.count < 1 or arguments.to.suffix != ".npz":
        raise UsageError("--count must be at least 1, and --to a file that ends in .npz.")
    encoder = predictor(shipped("style_encoder", arguments.weights).graph)
    features = FaceFeatures(arguments.data)
    inputs = denoiser_inputs(features, encoder, arguments.count, arguments.seed)
    np.savez(arguments.to, **inputs)
    console.print(
        f"{arguments.to}: {arguments.count} samples; give it to mien-export build --precision "
        f"fp32,int8 --calibration face_denoiser={arguments.to}",
        highlight=False,
        soft_wrap=True,
    )
    return 0
