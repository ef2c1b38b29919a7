# SPDX-License-Identifier: Apache-2.0
"""``generated``: contact sheets of what the generator makes, to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.commands.sheet import ENDINGS
from mien_starter.commands.train import DEFAULT_WORK
from mien_starter.errors import UsageError

KINDS = ("faces", "reconstructions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, required=True, metavar="FILE", help="PNG or JPEG")
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="photographs")
    add(
        "--kind",
        choices=KINDS,
        default="faces",
        help="faces: people in rows, styles in columns; reconstructions: of the autoencoder",
    )
    add("--work", type=Path, default=DEFAULT_WORK / "face_denoiser", metavar="DIR",
        help="run of the denoiser (default %(default)s)")  # fmt: skip
    add("--autoencoder", type=Path, default=DEFAULT_WORK / "autoencoder", metavar="DIR",
        help="run of the autoencoder (default %(default)s)")  # fmt: skip
    add("--rows", type=int, default=6, metavar="N")
    add("--columns", type=int, default=8, metavar="N")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Sample, or encode and decode, and write the sheet."""
    from mien_starter.evaluation.networks import run_predictors
    from mien_starter.face_reader import shipped_reader
    from mien_starter.generated_sheets import faces_sheet, reconstructions_sheet, write_picture
    from mien_starter.shards import Photographs

    if min(arguments.rows, arguments.columns) < 1:
        raise UsageError("--rows and --columns must be at least 1.")
    if arguments.to.suffix.lower() not in ENDINGS:
        raise UsageError(f"--to is {arguments.to}; it must end in {', '.join(ENDINGS)}.")
    grid = {"rows": arguments.rows, "columns": arguments.columns}
    predict = run_predictors("autoencoder", arguments.autoencoder)
    photographs = Photographs(arguments.data)
    if arguments.kind == "reconstructions":
        picture = reconstructions_sheet(predict, photographs, **grid)
    else:
        predict = {**predict, **run_predictors("face_denoiser", arguments.work)}
        picture = faces_sheet(predict, shipped_reader(), photographs, **grid)
    write_picture(picture, arguments.to)
    console.print(str(arguments.to), highlight=False)
    return 0
