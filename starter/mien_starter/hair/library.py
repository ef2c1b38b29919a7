# SPDX-License-Identifier: Apache-2.0
"""The folder of shipped hairstyles: strands, thumbnails and an index.

index.json       as `mien_server.hair.library_index` reads it, and beside that of every style the
                 shortest and the longest strand and the digest of the thumbnail
NAME.npz         the arrays of `mien_server.hair.style_files`
NAME.png         256 x 256, on the mean head, from the front and a little from the side
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien_server.hair.library_index import INDEX, VERSION
from mien_server.hair.polylines import lengths
from mien_server.hair.strands import GRID, GRID_POINTS, strands_from_grid
from mien_server.hair.style_files import style_file_bytes, style_from_bytes
from mien_starter.hair.dense import dense_hairs
from mien_starter.hair.grounds import Ground
from mien_starter.hair.growth import grow
from mien_starter.hair.pictures import hair_picture, view_of
from mien_starter.hair.styles import Style

__all__ = ["grid_from_file", "style_file", "style_pictures", "thumbnail", "write_library"]

LICENCE = "Apache-2.0"
ORIGIN = "Grown by the rules of mien_starter.hair on the starter's head; no scan, no photograph."

_THUMBNAIL_PX, _THUMBNAIL_YAW_DEG, _OVERSAMPLE = 256, -28.0, 4
_HAIRS, _SHORT_HAIRS = 11_000, 16_000
_SHORT_M = 0.03  # short hair lies side by side, long hair one above the other

Grid = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


def style_file(style: Style, ground: Ground) -> bytes:
    """The content of a style's file."""
    grid = grow(style.recipe, style.seed, ground)
    return style_file_bytes(strands_from_grid(grid), np.flatnonzero(grid.any(axis=(2, 3))))


def grid_from_file(content: bytes) -> Grid:
    """(32, 32, 100, 4) strands of a style's file.

    Raises:
        ValueError: it is none, or its strands are on no scalp or have another number of points.
    """
    style = style_from_bytes(content)
    if style.cells is None or style.strands.points.shape[1] != GRID_POINTS:
        raise ValueError(
            f"the file has strands of {style.strands.points.shape[1]} points"
            f"{'' if style.cells is not None else ' on no scalp'}; a grid takes strands of "
            f"{GRID_POINTS} with their cells"
        )
    grid = np.zeros((GRID * GRID, GRID_POINTS, 4), np.float32)
    grid[style.cells, :, :3] = style.strands.points
    grid[style.cells, :, 3] = style.strands.curliness
    return grid.reshape(GRID, GRID, GRID_POINTS, 4)


def write_library(
    styles: Mapping[str, Style],
    directory: Path,
    ground: Ground,
    on_progress: Callable[[int], object] = lambda _: None,
) -> int:
    """Write all styles; the same styles give the same bytes.

    Args:
        styles: by name.
        directory: made where it is missing.
        ground: the head.
        on_progress: told how many styles are finished.

    Returns:
        The size of the folder's files in bytes.
    """
    directory.mkdir(parents=True, exist_ok=True)
    entries, size = [], 0
    for done, (name, style) in enumerate(styles.items(), start=1):
        strands, picture = directory / f"{name}.npz", directory / f"{name}.png"
        strands.write_bytes(style_file(style, ground))
        grid = grid_from_file(strands.read_bytes())
        Image.fromarray(thumbnail(grid, style, ground)).save(picture, optimize=True)
        entries.append(_entry(name, style, grid, strands, picture))
        size += strands.stat().st_size + picture.stat().st_size
        on_progress(done)
    index = {"version": VERSION, "styles": entries}
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    (directory / INDEX).write_text(text, encoding="utf-8")
    return size + len(text.encode())


def thumbnail(grid: Grid, style: Style, ground: Ground) -> Picture:
    """(256, 256, 3) RGB picture of a style's strands."""
    return style_pictures(
        grid, style, ground, (_THUMBNAIL_YAW_DEG,), _THUMBNAIL_PX, oversample=_OVERSAMPLE
    )[0]


def style_pictures(
    grid: Grid,
    style: Style,
    ground: Ground,
    yaws_deg: tuple[float, ...],
    size: int,
    *,
    oversample: int = 2,
) -> list[Picture]:
    """Pictures of one style from some sides.

    Args:
        grid: (32, 32, 100, 4) strands.
        style: for its colour and seed.
        ground: the head.
        yaws_deg: turns of the head; positive turns the face to the image's right.
        size: of each picture in pixels.
        oversample: see `hair_picture`.
    """
    strands = strands_from_grid(grid)
    short = len(strands) > 0 and np.median(lengths(strands.points)) < _SHORT_M
    count = _SHORT_HAIRS if short else _HAIRS
    hairs = dense_hairs(grid, ground.scalp, count, style.seed)
    return [
        hair_picture(
            hairs, ground, view_of(hairs, yaw), size, colour=style.colour, oversample=oversample
        )
        for yaw in yaws_deg
    ]


def _entry(name: str, style: Style, grid: Grid, strands: Path, picture: Path) -> dict[str, Any]:
    centimetres = 100 * lengths(strands_from_grid(grid).points)
    return {
        "name": name,
        "title": style.title,
        "file": strands.name,
        "sha256": hashlib.sha256(strands.read_bytes()).hexdigest(),
        "thumbnail": picture.name,
        "thumbnail_sha256": hashlib.sha256(picture.read_bytes()).hexdigest(),
        "strands": len(centimetres),
        "length_cm": round(float(np.quantile(centimetres, 0.9)), 1),
        "length_range_cm": [round(float(centimetres.min()), 2), round(float(centimetres.max()), 2)],
        "licence": LICENCE,
        "origin": ORIGIN,
    }
