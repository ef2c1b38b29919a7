# SPDX-License-Identifier: Apache-2.0
"""``hairstyles``: grows the shipped hairstyles, and sheets of them to look at."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from mien_starter.errors import UsageError
from mien_starter.progress import counting

if TYPE_CHECKING:
    from mien_starter.hair.styles import Style

ENDINGS = (".jpg", ".jpeg", ".png")
SIDES_DEG = (0.0, -40.0, -90.0, 180.0)
PICTURE_PX = 256
IN_A_ROW = 2  # styles of a sheet, from four sides each


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--to", type=Path, metavar="DIR", help="write all named styles there, with thumbnails")
    add("--sheet", type=Path, metavar="FILE", help="write pictures of styles: PNG or JPEG")
    add("--draws", type=int, default=0, metavar="N", help="of N random styles, not of the named")
    add("--seed", type=int, default=1, metavar="N", help="of the random ones")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write what was asked for."""
    if arguments.to is None and arguments.sheet is None:
        raise UsageError("nothing to write; give --to, --sheet, or both")
    if arguments.sheet is not None and arguments.sheet.suffix.lower() not in ENDINGS:
        raise UsageError(f"--sheet is {arguments.sheet}; it must end in {', '.join(ENDINGS)}")
    if arguments.draws < 0:
        raise UsageError(f"--draws is {arguments.draws}; it must not be negative")
    from mien_starter.hair.grounds import shipped_ground
    from mien_starter.hair.library import write_library
    from mien_starter.hair.styles import STYLES

    if arguments.to is not None:
        with counting(console, "hairstyles", len(STYLES), "styles") as update:
            size = write_library(STYLES, arguments.to, shipped_ground(), update)
        console.print(f"{arguments.to}: {len(STYLES)} styles, {size / 1e6:.1f} MB", soft_wrap=True)
    if arguments.sheet is not None:
        styles = _random_styles(arguments.draws, arguments.seed) if arguments.draws else STYLES
        _write_sheet(styles, arguments.sheet, console)
        console.print(f"{arguments.sheet}", highlight=False, soft_wrap=True)
    return 0


def _random_styles(count: int, seed: int) -> dict[str, Style]:
    from mien_starter.hair.draws import draw_recipe
    from mien_starter.hair.styles import STYLES, Style

    rng = np.random.default_rng(seed)
    colours = [style.colour for style in STYLES.values()]
    return {
        str(number): Style("", draw_recipe(rng), colours[number % len(colours)], number)
        for number in range(count)
    }


def _write_sheet(styles: dict[str, Style], path: Path, console: Console) -> None:
    from PIL import Image

    from mien_starter.hair.grounds import shipped_ground
    from mien_starter.hair.growth import grow
    from mien_starter.hair.library import style_pictures

    ground, rows = shipped_ground(), []
    with counting(console, "pictures", len(styles), "styles") as update:
        for done, style in enumerate(styles.values(), start=1):
            grid = grow(style.recipe, style.seed, ground)
            rows.append(np.hstack(style_pictures(grid, style, ground, SIDES_DEG, PICTURE_PX)))
            update(done)
    while len(rows) % IN_A_ROW:
        rows.append(np.full_like(rows[0], 255))
    lines = [np.hstack(rows[start : start + IN_A_ROW]) for start in range(0, len(rows), IN_A_ROW)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(lines)).save(path, quality=90)
