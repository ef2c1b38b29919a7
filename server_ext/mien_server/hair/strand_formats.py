# SPDX-License-Identifier: Apache-2.0
"""Bytes of strand files to arrays and back; what each format is, `strand_files` tells.

Nothing is unpickled, and no count in a file is believed before its bytes are there.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.errors import ServingError
from mien_server.hair.strands import GRID, GRID_POINTS, Strands

__all__ = [
    "NPY_MAGIC",
    "Polylines",
    "convdata_from_grid",
    "data_from_strands",
    "grid_from_convdata",
    "mask_from_vismap",
    "polylines_from_data",
    "refusal",
    "vismap_from_mask",
]

CODE = "INVALID_TENSOR"
NPY_MAGIC = b"\x93NUMPY"

MAX_STRANDS_IN_FILE = 200_000  # USC-HairSalon has 10,000
MAX_VERTICES = 10_000  # of one strand; USC-HairSalon has 100

_CONVDATA_SHAPE = (4 * GRID_POINTS, GRID, GRID)
_VISMAP_SHAPE = (GRID_POINTS, GRID, GRID)
_SHAPE_HINTS = {
    _CONVDATA_SHAPE: "; this is a .convdata",
    _VISMAP_SHAPE: "; this is a .vismap, which says what is seen and has no strands in it",
}
_npy_format: Any = np.lib.format  # has no types
_HEADERS = {
    (1, 0): _npy_format.read_array_header_1_0,
    (2, 0): _npy_format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True, eq=False)
class Polylines:
    """Strands that need not have equally many points, one after the other.

    Attributes:
        points: (N, 3) float32 metres.
        counts: (S,) int64 points of each, N together.
        bald: further roots that have no strand.
    """

    points: NDArray[np.float32]
    counts: NDArray[np.int64]
    bald: int


def refusal(what: str) -> ServingError:
    """The error about bytes of strands that came from a caller."""
    return ServingError(CODE, f"strand file: {what}")


def grid_from_convdata(content: bytes) -> NDArray[np.float32]:
    """A `.convdata` file as it is.

    Returns:
        (32, 32, 100, 4) float32 x, y, z and curvature.

    Raises:
        ServingError: INVALID_TENSOR.
    """
    planes = _read_npy(content, _CONVDATA_SHAPE, "a .convdata file")
    by_point = planes.reshape(GRID_POINTS, 4, GRID, GRID)
    return np.ascontiguousarray(by_point.transpose(2, 3, 0, 1))


def convdata_from_grid(grid: ArrayLike) -> bytes:
    """The `.convdata` file of (32, 32, 100, 4), the inverse of `grid_from_convdata`.

    Raises:
        ValueError: another shape.
    """
    cells = _checked(grid, (GRID, GRID, GRID_POINTS, 4))
    return _npy(cells.transpose(2, 3, 0, 1).reshape(_CONVDATA_SHAPE))


def mask_from_vismap(content: bytes) -> NDArray[np.bool_]:
    """A `.vismap` file: which points of the grid are seen.

    Returns:
        (32, 32, 100).

    Raises:
        ServingError: INVALID_TENSOR.
    """
    planes = _read_npy(content, _VISMAP_SHAPE, "a .vismap file")
    if not ((planes == 0) | (planes == 1)).all():
        raise refusal("a .vismap file holds numbers that are neither 0 nor 1")
    return np.ascontiguousarray(planes.transpose(1, 2, 0) == 1)


def vismap_from_mask(mask: ArrayLike) -> bytes:
    """The `.vismap` file of (32, 32, 100), the inverse of `mask_from_vismap`.

    Raises:
        ValueError: another shape.
    """
    return _npy(_checked(mask, (GRID, GRID, GRID_POINTS)).transpose(2, 0, 1))


def polylines_from_data(content: bytes) -> Polylines:
    """A `.data` file; strands whose vertices all coincide count as bald.

    Raises:
        ServingError: INVALID_TENSOR.
    """
    sizes = _sizes_in_data(content)
    words = np.frombuffer(content, "<f4")
    # Before strand k stand k + 2 counts and three words for each vertex of those before it.
    is_count = np.zeros(len(words), bool)
    is_count[0] = True
    is_count[1 + 3 * (np.cumsum(sizes) - sizes) + np.arange(len(sizes))] = True
    points = words[~is_count].reshape(-1, 3)
    if not np.isfinite(points).all():
        raise refusal("it holds coordinates that are not finite")
    first = np.cumsum(sizes) - sizes
    moves = np.zeros(len(points), bool)
    moves[1:] = (points[1:] != points[:-1]).any(axis=1)
    moves[first] = False
    has_length = np.logical_or.reduceat(moves, first)
    return Polylines(
        points[np.repeat(has_length, sizes)], sizes[has_length], int((~has_length).sum())
    )


def data_from_strands(strands: Strands) -> bytes:
    """The `.data` file of strands, all with P vertices; 4 + S (4 + 12 P) bytes."""
    count, points = strands.points.shape[:2]
    rows = np.empty((count, 1 + 3 * points), "<f4")
    rows[:, 0] = np.array(points, "<i4").view("<f4")
    rows[:, 1:] = strands.points.reshape(count, -1)
    return struct.pack("<i", count) + rows.tobytes()


def _sizes_in_data(content: bytes) -> NDArray[np.int64]:
    """How many vertices each strand of a `.data` file has; they fill the file exactly."""
    if len(content) % 4 or len(content) < 8:
        raise refusal(f"{len(content)} bytes came; a .data file has a multiple of 4, at least 8")
    (claimed,) = struct.unpack_from("<i", content)
    # Each strand needs 16 bytes, so the file itself bounds what the loop can be made to do.
    if not 1 <= claimed <= min(MAX_STRANDS_IN_FILE, (len(content) - 4) // 16):
        raise refusal(
            f"it promises {claimed} strands in {len(content)} bytes; 1 to {MAX_STRANDS_IN_FILE} "
            "are allowed, of at least 16 bytes each"
        )
    sizes, place = np.empty(claimed, np.int64), 4
    for strand in range(claimed):
        if place + 4 > len(content):
            raise refusal(f"it ends after {strand} of {claimed} strands; it is truncated")
        (size,) = struct.unpack_from("<i", content, place)
        if not 1 <= size <= MAX_VERTICES:
            raise refusal(
                f"strand {strand} promises {size} vertices; 1 to {MAX_VERTICES} are allowed"
            )
        sizes[strand] = size
        place += 4 + 12 * size
        if place > len(content):
            raise refusal(f"it ends within strand {strand} of {claimed}; it is truncated")
    if place != len(content):
        raise refusal(
            f"{len(content) - place} bytes follow the last of {claimed} strands; it is damaged, "
            "or no .data file"
        )
    return sizes


def _read_npy(content: bytes, shape: tuple[int, ...], what: str) -> NDArray[np.float32]:
    """The array of an npy file of one shape; the header is checked before numbers are read."""
    stream = io.BytesIO(content)
    try:
        found, fortran_order, dtype = _HEADERS[_npy_format.read_magic(stream)](stream)
    # Hostile bytes meet a parser of Python literals here: whatever it raises, it is no npy file.
    except Exception as error:
        raise refusal(f"its npy header cannot be read ({type(error).__name__}: {error})") from None
    if found != shape or dtype != np.dtype("<f4"):
        raise refusal(
            f"an npy file of {dtype} {found} came; {what} holds float32 {shape}"
            + _SHAPE_HINTS.get(found, "")
        )
    body = memoryview(content)[stream.tell() :]
    expected = 4 * int(np.prod(shape))
    if len(body) != expected:
        raise refusal(
            f"{what} has {len(body)} bytes after its header instead of {expected}; it is "
            "truncated, or something was appended"
        )
    flat = np.frombuffer(body, "<f4")
    planes = flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)
    if not np.isfinite(planes).all():
        raise refusal(f"{what} holds numbers that are not finite")
    return planes


def _npy(array: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    _npy_format.write_array(stream, np.ascontiguousarray(array, "<f4"), version=(1, 0))
    return stream.getvalue()


def _checked(array: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    cells = np.asarray(array, np.float32)
    if cells.shape != shape:
        raise ValueError(f"a scalp grid has shape {cells.shape}; it must be {shape}")
    return cells
