# SPDX-License-Identifier: Apache-2.0
"""A hairstyle as a file: an npz of a tenth of the bytes that its points would take.

Points are whole numbers of a unit that each strand has, counted from its root, and what is kept are
second differences along the strand, which are small where points lie at equal distances:

    steps = cumsum([step, *bends]);  points = root + unit * cumsum([0, *steps])

Curliness follows from the points. Letters: S strands, P points.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.polylines import curliness_of
from mien_server.hair.strands import GRID, Strands

__all__ = ["StyleFile", "style_file_bytes", "style_from_bytes"]

MAX_UNPACKED_BYTES = 64 * 1024 * 1024
_KINDS = {"root": "f", "unit": "f", "step": "iu", "bends": "iu"}
_CELLS = "grid_cells"
_UNITS_PER_STEP = 64  # of the mean distance between points; fewer where hair bends sharply
_LARGEST = 127


@dataclass(frozen=True, slots=True, eq=False)
class StyleFile:
    """What such a file holds.

    Attributes:
        strands: S 1 or more, P 3 or more.
        cells: (S,) int16 row * 32 + column on the scalp grid; None where the style is on none.
    """

    strands: Strands
    cells: NDArray[np.int16] | None


def style_file_bytes(strands: Strands, cells: ArrayLike | None = None) -> bytes:
    """Write one: `root` and `unit` float32 metres, `step` int16, `bends` int8, `grid_cells` int16.

    Points come back to half a unit, 1/128 of the distance between two of them on a smooth strand.

    Args:
        strands: S 1 or more, each with a length, P 3 or more.
        cells: (S,) cells of the scalp grid, if it is on one.

    Raises:
        ValueError: too few points, or a strand without a length.
    """
    points = strands.points.astype(np.float64)
    distance = np.linalg.norm(np.diff(points, axis=1), axis=2).mean(axis=1)
    if points.shape[1] < 3 or not len(points) or not distance.min() > 0:
        raise ValueError(
            f"points of strands have shape {points.shape}, or one has no length; a style has 3 "
            "points or more on each, and a length"
        )
    sharpest = np.abs(np.diff(points, 2, axis=1)).max(axis=(1, 2))
    # Rounding three points may add two to a bend.
    unit = np.maximum(distance / _UNITS_PER_STEP, sharpest / (_LARGEST - 2)).astype(np.float32)
    root = strands.roots
    counted = np.rint((points - root[:, None]) / unit[:, None, None]).astype(np.int64)
    steps = np.diff(counted, axis=1)
    arrays: dict[str, NDArray[np.generic]] = {
        "root": root,
        "unit": unit,
        "step": steps[:, 0].astype(np.int16),
        "bends": np.diff(steps, axis=1).astype(np.int8),
    }
    if cells is not None:
        arrays[_CELLS] = np.asarray(cells, np.int16)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def style_from_bytes(content: bytes) -> StyleFile:
    """Read one.

    Raises:
        ValueError: it is no such file; the message says why.
    """
    arrays = _unpacked(content)
    if not set(_KINDS) <= set(arrays) <= {*_KINDS, _CELLS}:
        raise ValueError(
            f"it holds {', '.join(sorted(arrays)) or 'nothing'}; expected {', '.join(_KINDS)} "
            f"and, at most, {_CELLS}"
        )
    bends = arrays["bends"]
    if bends.ndim != 3 or 0 in bends.shape:
        raise ValueError(f"bends has shape {bends.shape}; it must be (S >= 1, P - 2 >= 1, 3)")
    count, bent = bends.shape[:2]
    shapes = {"root": (count, 3), "unit": (count,), "step": (count, 3), "bends": (count, bent, 3)}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.kind not in _KINDS[name]:
            raise ValueError(
                f"{name} is {array.dtype} {array.shape}; it must hold "
                f"{'whole' if 'i' in _KINDS[name] else 'real'} numbers of shape {shape}"
            )
    steps = np.cumsum(np.concatenate([arrays["step"][:, None], bends], axis=1, dtype=np.int64), 1)
    counted = np.concatenate([np.zeros_like(steps[:, :1]), np.cumsum(steps, axis=1)], axis=1)
    points = arrays["root"][:, None] + arrays["unit"][:, None, None] * counted
    return StyleFile(
        Strands(points.astype(np.float32), curliness_of(points)),
        _checked_cells(arrays.get(_CELLS), count),
    )


def _unpacked(content: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_UNPACKED_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, more than {MAX_UNPACKED_BYTES}")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is no npz: {error}") from error


def _checked_cells(cells: NDArray[np.generic] | None, count: int) -> NDArray[np.int16] | None:
    if cells is None:
        return None
    if cells.shape != (count,) or cells.dtype.kind not in "iu":
        raise ValueError(
            f"{_CELLS} is {cells.dtype} {cells.shape}; it must hold {count} whole numbers"
        )
    numbers = cells.astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= GRID * GRID or len(np.unique(numbers)) < count:
        raise ValueError(f"{_CELLS} must be {count} different numbers below {GRID * GRID}")
    return numbers.astype(np.int16)
