# SPDX-License-Identifier: Apache-2.0
"""``styles``: the distribution of styles over features, for the starter weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mien_starter.commands.export import STARTER_WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="features")
    add("--to", type=Path, default=STARTER_WEIGHTS, metavar="DIR", help="starter weights")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Measure the codes, write file, entry and report."""
    from mien_starter.face_features import FaceFeatures
    from mien_starter.style_statistics import (
        FILE,
        style_statistics,
        write_report,
        write_statistics,
    )
    from mien_starter.weights_export import update_starter

    features = FaceFeatures(arguments.data)
    statistics = style_statistics(features.codes)
    path = arguments.to / FILE
    write_statistics(statistics, path)
    update_starter("style_sampler", "normal", path)
    origin = f"the starter's deca_encoder (features {features.digest[:12]})"
    write_report(statistics, len(features), origin, path.with_suffix(".md"))
    console.print(f"{path}, {path.with_suffix('.md').name}", highlight=False)
    return 0
