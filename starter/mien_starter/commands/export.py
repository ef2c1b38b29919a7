# SPDX-License-Identifier: Apache-2.0
"""``export NAME``: the averaged weights of a run as fp16 safetensors, with entry and model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.commands.evaluate import FIGURES_FILE
from mien_starter.commands.train import DEFAULT_WORK
from mien_starter.recipes import NAMES

STARTER_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
COMPARED = 64  # crops on which the stored weights must compute what was trained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--work", type=Path, metavar="DIR", help=f"of the run (default {DEFAULT_WORK}/NAME)")
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="crops to compare on")
    add("--to", type=Path, default=STARTER_WEIGHTS, metavar="DIR", help="starter weights")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write weights, entry and card."""
    from mien_starter.evaluation.networks import trained_tensors
    from mien_starter.shards import Photographs
    from mien_starter.weights_export import (
        example_crops,
        load_figures,
        update_starter,
        write_card,
        write_weights,
    )

    name = arguments.name
    work = arguments.work or DEFAULT_WORK / name
    tensors, about = trained_tensors(name, work)
    crops = example_crops(name, Photographs(arguments.data, limit=COMPARED), COMPARED)
    path, parity = write_weights(name, tensors, crops, arguments.to)
    dropped = update_starter(name, path)
    figures = load_figures(work / FIGURES_FILE, about)
    card = write_card(name, path, about, parity, figures)
    console.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB), {card.name}", highlight=False)
    if dropped:
        console.print("parameters of the former weights were dropped: calibrate the new ones")
    if figures is None:
        console.print("the card has no figures: run evaluate, then export again")
    return 0
