# SPDX-License-Identifier: Apache-2.0
"""``evaluate NAME``: figures on held-out people, beside those of random weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mien_starter.commands.train import DEFAULT_WORK, require_data
from mien_starter.errors import UsageError
from mien_starter.recipes import NAMES, WITHOUT_PHOTOGRAPHS, recipe_module
from mien_starter.shards import Photographs

FIGURES_FILE = "figures.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("name", nargs="?", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--served", metavar="ADDRESS", help="measure what this server answers, of all pipelines")
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="held-out people")
    add("--limit", type=int, metavar="N", help="look at the first N photographs only")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--work", type=Path, metavar="DIR", help=f"a run (default {DEFAULT_WORK}/NAME)"
    )
    weights.add_argument("--weights", type=Path, metavar="FILE", help="a weights file")
    add("--autoencoder", type=Path, default=DEFAULT_WORK / "autoencoder", metavar="DIR",
        help="its run, for face_denoiser (default %(default)s)")  # fmt: skip
    add("--no-random", action="store_true", help="leave the figures of random weights out")
    add("--json", type=Path, metavar="FILE", help=f"default {FIGURES_FILE} in --work")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Measure, print, and write the figures."""
    if bool(arguments.name) == bool(arguments.served):
        raise UsageError("give either NAME, or --served ADDRESS.")
    require_data(arguments.name, arguments.data)
    if arguments.name in WITHOUT_PHOTOGRAPHS:
        columns = _drawn(arguments)
    else:
        columns = _served(arguments, console) if arguments.served else _direct(arguments)
    table = Table(title=arguments.name or f"served by {arguments.served}")
    for heading in ("figure", *columns["figures"]):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    names = next(iter(columns["figures"].values()))
    for name in names:
        table.add_row(name, *(f"{figures[name]:.5g}" for figures in columns["figures"].values()))
    Console().print(table)
    target = arguments.json or _default_target(arguments)
    if target:
        target.write_text(json.dumps(columns, indent=2) + "\n")
    return 0


def _direct(arguments: argparse.Namespace) -> dict[str, Any]:
    from mien_starter.evaluation.held_out import facts_about, held_out
    from mien_starter.evaluation.measures import measure_of
    from mien_starter.evaluation.networks import predictor, trained_states, wrapped

    name, graphs = arguments.name, recipe_module(arguments.name).GRAPHS
    photographs = held_out(name, arguments.data, arguments.limit)
    measure = measure_of(name, photographs, arguments.autoencoder)
    if arguments.weights is None:
        states, about = trained_states(name, arguments.work or DEFAULT_WORK / name)
        weights: Mapping[str, Any] = states
    elif len(graphs) > 1:
        raise UsageError(
            f"{name} is {' and '.join(graphs)}; --weights names one file. Give --work."
        )
    else:
        weights, about = dict.fromkeys(graphs, arguments.weights), {"file": str(arguments.weights)}
    columns = {"trained": weights}
    if not arguments.no_random:
        columns["random"] = dict.fromkeys(graphs)
    figures = {
        column: measure({graph: predictor(wrapped(graph, found[graph])) for graph in graphs})
        for column, found in columns.items()
    }
    return {"weights": about, **facts_about(photographs), "figures": figures}


def _drawn(arguments: argparse.Namespace) -> dict[str, Any]:
    from mien_starter.evaluation.emotions import emotion_columns

    work = arguments.work or DEFAULT_WORK / arguments.name
    return emotion_columns(work, arguments.weights, random=not arguments.no_random)


def _served(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from mien_export.head_model import read_head
    from mien_starter.evaluation.held_out import facts_about
    from mien_starter.evaluation.served import measure_server
    from mien_starter.progress import counting
    from mien_starter.recipes.deca_encoder import HEAD

    photographs = Photographs(arguments.data, limit=arguments.limit)
    with counting(console, "asking", len(photographs), "photographs") as on_progress:
        figures = measure_server(arguments.served, photographs, read_head(HEAD), on_progress)
    return {**facts_about(photographs), "figures": {"served": figures}}


def _default_target(arguments: argparse.Namespace) -> Path | None:
    if arguments.served or arguments.weights:
        return None
    directory: Path = arguments.work or DEFAULT_WORK / arguments.name
    return directory / FIGURES_FILE
