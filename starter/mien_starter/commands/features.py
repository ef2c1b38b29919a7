# SPDX-License-Identifier: Apache-2.0
"""``features``: latents, embeddings, codes and style maps, for training the generator."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from mien_starter.commands.train import DEFAULT_WORK
from mien_starter.errors import UsageError
from mien_starter.progress import counting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from mien_starter.shipped import WEIGHTS

    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="data sets of a split")
    add("--autoencoder", type=Path, default=DEFAULT_WORK / "autoencoder", metavar="DIR",
        help="its run (default %(default)s)")  # fmt: skip
    add("--weights", type=Path, default=WEIGHTS, metavar="DIR", help="of the networks that read")
    add("--to", type=Path, required=True, metavar="DIR", help="finished shards in it are kept")
    add("--known", type=Path, metavar="DIR",
        help="of the same photographs: takes over what the same networks made")  # fmt: skip
    add("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="that compute")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compute what is missing."""
    import torch

    from mien_starter.evaluation.networks import predictor, trained_states, wrapped
    from mien_starter.face_reader import shipped_reader
    from mien_starter.feature_writing import write_features
    from mien_starter.shards import Photographs
    from mien_starter.training.checkpoint import digest_of

    if arguments.threads < 1:
        raise UsageError("--threads must be at least 1.")
    torch.set_num_threads(arguments.threads)
    states, about = trained_states("autoencoder", arguments.autoencoder)
    photographs = Photographs(arguments.data)
    encoder = states["latent_encoder"]
    reader = shipped_reader(arguments.weights, threads=arguments.threads)
    with counting(console, "reading", len(photographs), "photographs") as on_progress:
        write_features(
            photographs,
            predictor(wrapped("latent_encoder", encoder)),
            digest_of(encoder),
            reader,
            arguments.to,
            known=arguments.known,
            on_progress=on_progress,
        )
    console.print(
        f"{arguments.to}: {len(photographs)} photographs; latents of the autoencoder at step "
        f"{about['step']}",
        highlight=False,
    )
    return 0
