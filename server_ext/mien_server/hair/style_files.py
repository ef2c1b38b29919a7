# SPDX-License-Identifier: Apache-2.0
"""A hairstyle as a file: an npz of `strands` and, where it has them, `grid_cells`.

`strands` is (S, P, 4) float16 or float32, x, y, z and curliness in the frame of the starter's mean
head; `grid_cells` (S,) int16, the cell of the scalp grid that each strand grows in.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.strands import GRID, Strands

__all__ = ["StyleFile", "style_file_bytes", "style_from_bytes"]

MAX_UNPACKED_BYTES = 64 * 1024 * 1024
ARRAYS = ("strands", "grid_cells")


@dataclass(frozen=True, slots=True, eq=False)
class StyleFile:
    """What such a file holds.

    Attributes:
        strands: S 1 or more.
        cells: (S,) int16 row * 32 + column; None where the style is on no grid.
    """

    strands: Strands
    cells: NDArray[np.int16] | None


def style_file_bytes(
    strands: Strands, cells: ArrayLike | None = None, *, half: bool = False
) -> bytes:
    """Write one.

    Args:
        strands: S 1 or more.
        cells: (S,) cells of the scalp grid, if it is on one.
        half: float16: half the size, and places to a tenth of a millimetre near the scalp and a
            quarter 30 cm below it.
    """
    rows = np.concatenate([strands.points, strands.curliness[..., None]], axis=2)
    arrays: dict[str, NDArray[np.generic]] = {
        "strands": rows.astype(np.float16 if half else np.float32)
    }
    if cells is not None:
        arrays["grid_cells"] = np.asarray(cells, np.int16)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def style_from_bytes(content: bytes) -> StyleFile:
    """Read one.

    Raises:
        ValueError: it is no such file; the message says why.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise ValueError(f"it unpacks to {unpacked} bytes, more than {MAX_UNPACKED_BYTES}")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is no npz: {error}") from error
    if "strands" not in arrays or not set(arrays) <= set(ARRAYS):
        raise ValueError(
            f"it holds {', '.join(sorted(arrays)) or 'nothing'}; expected strands and, at most, "
            "grid_cells"
        )
    rows = arrays["strands"]
    if rows.ndim != 3 or rows.shape[2] != 4 or not len(rows) or rows.dtype.kind != "f":
        raise ValueError(f"strands is {rows.dtype} {rows.shape}; it must be float (S >= 1, P, 4)")
    strands = Strands(rows[..., :3], rows[..., 3])
    return StyleFile(strands, _checked_cells(arrays.get("grid_cells"), len(rows)))


def _checked_cells(cells: NDArray[np.generic] | None, count: int) -> NDArray[np.int16] | None:
    if cells is None:
        return None
    if cells.shape != (count,) or cells.dtype.kind not in "iu":
        raise ValueError(
            f"grid_cells is {cells.dtype} {cells.shape}; it must hold {count} whole numbers"
        )
    numbers = cells.astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= GRID * GRID or len(np.unique(numbers)) < count:
        raise ValueError(f"grid_cells must be {count} different numbers below {GRID * GRID}")
    return numbers.astype(np.int16)
