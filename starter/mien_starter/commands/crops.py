# SPDX-License-Identifier: Apache-2.0
"""``crops``: aligned crops as a running server cuts them, for ``mien-export calibrate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.errors import StarterError
from mien_starter.progress import counting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--served", required=True, metavar="ADDRESS", help="of the server, host:port")
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="data sets")
    add("--to", type=Path, required=True, metavar="FILE.npz", help="crops and identities")
    add("--limit", type=int, metavar="N", help="look at the first N photographs only")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Send the photographs, keep what was found."""
    from mien_starter.served_crops import cut, write_crops
    from mien_starter.shards import Photographs

    photographs = Photographs(arguments.data, limit=arguments.limit)
    with counting(console, "cropping", len(photographs), "photographs") as on_progress:
        crops, identities = cut(arguments.served, photographs, on_progress)
    lost = len(photographs) - len(crops)
    if not len(crops):
        raise StarterError(f"{arguments.served} found no face in {len(photographs)} photographs.")
    write_crops(arguments.to, crops, identities)
    console.print(
        f"{arguments.to}: {len(crops)} crops; no face was found in {lost} of {len(photographs)} "
        f"photographs ({100 * lost / len(photographs):.1f} %)",
        highlight=False,
    )
    return 0
