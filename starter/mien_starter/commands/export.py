# SPDX-License-Identifier: Apache-2.0
"""``export NAME``: the averaged weights of a run as fp16 safetensors, with entries and cards."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.commands.evaluate import FIGURES_FILE
from mien_starter.commands.train import DEFAULT_WORK, require_data
from mien_starter.recipes import NAMES, WITHOUT_PHOTOGRAPHS, network_of, parameters_of

STARTER_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
COMPARED = 64  # photographs on which the stored weights must compute what was trained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--work", type=Path, metavar="DIR", help=f"of the run (default {DEFAULT_WORK}/NAME)")
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="to compare on")
    add("--to", type=Path, default=STARTER_WEIGHTS, metavar="DIR", help="starter weights")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write weights, entries and cards."""
    from mien_starter.evaluation.emotions import example_emotions
    from mien_starter.evaluation.examples import example_inputs
    from mien_starter.evaluation.held_out import held_out
    from mien_starter.evaluation.networks import trained_states
    from mien_starter.weights_export import (
        load_figures,
        update_starter,
        write_card,
        write_weights,
    )

    name = arguments.name
    require_data(name, arguments.data)
    work = arguments.work or DEFAULT_WORK / name
    states, about = trained_states(name, work)
    examples = (
        example_emotions(COMPARED)
        if name in WITHOUT_PHOTOGRAPHS
        else example_inputs(name, states, held_out(name, arguments.data, COMPARED))
    )
    figures = load_figures(work / FIGURES_FILE, about)
    for graph, tensors in states.items():
        path, parity = write_weights(graph, tensors, examples[graph], arguments.to)
        dropped = update_starter(graph, network_of(graph), path, parameters_of(graph))
        card = write_card(graph, path, about, parity, figures)
        console.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB), {card.name}", highlight=False)
        if dropped:
            console.print("parameters of the former weights were dropped: calibrate the new ones")
    if figures is None:
        console.print("the cards have no figures: run evaluate, then export again")
    return 0
