# SPDX-License-Identifier: Apache-2.0
"""``recognition_study``: train the recogniser on generated people, and on as many rendered ones."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mien_starter.commands.train import DEFAULT_WORK
from mien_starter.errors import UsageError
from mien_starter.progress import counting

FIGURES_FILE = "figures.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from mien_starter.recipes.face_recognizer import RECIPE
    from mien_starter.recognition_study import EPOCHS

    add = parser.add_argument
    add("--generated", type=Path, required=True, metavar="DIR",
        help="a finished set of `mien synthesize --format folders`")  # fmt: skip
    add("--rendered", type=Path, nargs="+", required=True, metavar="DIR",
        help="data sets of the split train")  # fmt: skip
    add("--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="held-out people, to measure on")  # fmt: skip
    add("--people", type=int, default=200, metavar="N", help="of each set (default %(default)s)")
    add("--images", type=int, metavar="N", help="of each person (default all generated ones)")
    add("--epochs", type=float, default=EPOCHS, metavar="X", help="passes (default %(default)s)")
    add("--seed", type=int, default=RECIPE.seed, metavar="N", help="(default %(default)s)")
    add("--work", type=Path, default=DEFAULT_WORK / "recognition_study", metavar="DIR",
        help="of both runs, which go on where they stopped (default %(default)s)")  # fmt: skip
    add("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="that compute")
    add("--compile", action="store_true", help="fuse operations; asks for a C++ compiler")
    add("--workers", type=int, default=1, metavar="N", help="processes that make batches")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train both, measure both, print and write the figures."""
    import torch

    from mien_starter.recognition_study import recipe_of_study, study
    from mien_starter.recognition_study_faces import read_generated_set, rendered_faces
    from mien_starter.shards import Photographs

    if arguments.people < 2 or (arguments.images or 2) < 2 or not arguments.epochs > 0:
        raise UsageError("--people and --images must be at least 2, --epochs above 0.")
    if arguments.threads < 1 or arguments.workers < 0:
        raise UsageError("--threads must be at least 1, --workers at least 0.")
    torch.set_num_threads(arguments.threads)
    photographs = Photographs(arguments.data).of_split("held_out")
    generated = read_generated_set(arguments.generated)
    images = arguments.images or min(map(len, generated.files.values()))
    size = (arguments.people, images)
    faces = {
        "generated": generated.faces(*size),
        "rendered": rendered_faces(Photographs(arguments.rendered), *size),
    }
    recipe = recipe_of_study(len(faces["generated"]), epochs=arguments.epochs, seed=arguments.seed)
    console.print(f"{recipe}", highlight=False, markup=False, soft_wrap=True)
    with counting(console, "training", 2 * recipe.steps, "steps") as on_progress:
        figures = study(
            recipe,
            faces,
            photographs,
            arguments.work,
            workers=arguments.workers,
            compiled=arguments.compile,
            on_progress=lambda name, done, remark: on_progress(
                done + (name == "rendered") * recipe.steps, f"{name} {remark}"
            ),
        )
    table = Table(title=f"{size[0]} people, {size[1]} images each, {recipe.steps} steps")
    table.add_column("on held-out people")
    for name in figures:
        table.add_column(name, justify="right")
    for name in figures["untrained"]:
        table.add_row(name, *(f"{own[name]:.4f}" for own in figures.values()))
    Console().print(table)
    if generated.untrained:
        console.print("The generator's weights are random: the figures mean nothing.")
    content = {
        "recipe": dataclasses.asdict(recipe),
        "data": {name: own.origin for name, own in faces.items()},
        "generator": generated.generator,
        "untrained_generator": generated.untrained,
        "photographs": len(photographs),
        "figures": figures,
    }
    target = arguments.work / FIGURES_FILE
    target.write_text(json.dumps(content, indent=2) + "\n")
    console.print(str(target), highlight=False)
    return 0
