# SPDX-License-Identifier: Apache-2.0
"""How commands say what came: lines of text, one JSON object, progress on a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["print_lines", "print_progress", "print_result", "shows_progress"]

_UNTRAINED = ("UNTRAINED", "the server's weights are random: this result means nothing")


def print_result(
    result: dict[str, Any],
    lines: Sequence[tuple[str, str]],
    args: argparse.Namespace,
    *,
    untrained: bool,
) -> None:
    """Print a result, as JSON or as lines."""
    if args.json:
        sys.stdout.write(f"{json.dumps(result, allow_nan=False)}\n")
    print_lines(lines, args, untrained=untrained)


def print_lines(
    lines: Sequence[tuple[str, str]], args: argparse.Namespace, *, untrained: bool = False
) -> None:
    """Print labelled lines, unless JSON is wanted; random weights are said first."""
    if not args.json:
        for label, text in [_UNTRAINED, *lines] if untrained else lines:
            sys.stdout.write(f"{label:<12}{text}\n")
            sys.stdout.flush()


def shows_progress(args: argparse.Namespace) -> bool:
    """Whether somebody looks."""
    return not args.json and sys.stderr.isatty()


def print_progress(text: str, args: argparse.Namespace) -> None:
    """Write `text` over what was there before, and leave the cursor where the line begins."""
    if shows_progress(args):
        sys.stderr.write(f"\r{text:<30}\r")
        sys.stderr.flush()
