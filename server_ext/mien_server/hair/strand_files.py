# SPDX-License-Identifier: Apache-2.0
"""Files of strands as others write them, read from bytes that a caller sent.

- `.convdata` of HairNet: an npy file, (400, 32, 32) float32, which is 100 points of x, y, z and
  curvature on a scalp grid of 32 x 32; a cell of zeros has no strand.
- `.vismap` of HairNet: an npy file, (100, 32, 32) float32, 1 where a point of that grid is seen.
- `.data` of USC-HairSalon, little-endian: int32 strands; then of each strand int32 vertices and as
  many x, y, z of float32. A strand of one vertex is a root without hair.

All of them are metres, y up, the root first, but not in any head's frame: HairNet's figures stand
on the ground. `placing` brings them to a head. Layouts: papagina/HairNet_DataSetGeneration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.polylines import curliness_of, lengths, strands_from_polylines
from mien_server.hair.strand_formats import (
    NPY_MAGIC,
    Polylines,
    grid_from_convdata,
    mask_from_vismap,
    polylines_from_data,
    refusal,
)
from mien_server.hair.strands import GRID, GRID_POINTS, Strands

__all__ = ["MAX_BYTES", "StrandFile", "read_strand_file", "read_vismap"]

KINDS = "a .convdata or .data file of strands"

MAX_BYTES = 64 * 1024 * 1024
MAX_DISTANCE_M = 100.0  # from the origin
SIZES_M = (0.02, 5.0)  # over what hair reaches, all of it together

# What else people send, by its first bytes.
_FOREIGN = (
    (b"PK\x03\x04", "a zip or npz archive"),
    (b"glTF", "a GLB model"),
    (b"ply", "a PLY model"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"Ogawa", "an Alembic cache"),
    (b"HAIR", "a Cem Yuksel .hair file"),
)


@dataclass(frozen=True, slots=True, eq=False)
class StrandFile:
    """What a file holds.

    Attributes:
        strands: in the file's own frame.
        kind: "convdata" or "data".
        count: strands with a length in the file; `strands` has fewer where it was thinned out.
        bald: roots or cells without a strand.
        cells: (S,) int16 row * 32 + column on the scalp grid; None for `.data`.
    """

    strands: Strands
    kind: str
    count: int
    bald: int
    cells: NDArray[np.int16] | None


def read_strand_file(
    content: bytes, name: str = "", *, max_strands: int = 1024, points: int = GRID_POINTS
) -> StrandFile:
    """Read a `.convdata` or `.data` file, whichever its bytes are.

    Of more strands than asked for, a part is kept that is spread evenly through the file: the same
    each time. Points are set at equal distances along each strand, except where a `.convdata` has
    the number of points that is asked for. Curliness is measured.

    Args:
        content: the whole file.
        name: its name. Bytes tell what they are, but a `.data` file has no mark of its own.
        max_strands: 1 or more.
        points: P of the result, 2 or more.

    Raises:
        ServingError: INVALID_TENSOR, the bytes are no such file, are damaged, or hold no hair of a
            person's size.
    """
    if max_strands < 1:
        raise ValueError(f"max_strands is {max_strands}; it must be 1 or more")
    _check_size(content)
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if content.startswith(NPY_MAGIC):
        if suffix == "data":
            raise refusal(f"{name:.60} is an npy file, which a .data file is not; send {KINDS}")
        lines, cells = _filled_cells(grid_from_convdata(content))
    else:
        _check_unmarked(content, name, suffix)
        lines, cells = polylines_from_data(content), None
    _check_places(lines)
    kept = _evenly(len(lines.counts), max_strands)
    return StrandFile(
        _strands(lines, kept, points, as_they_are=cells is not None),
        "data" if cells is None else "convdata",
        len(lines.counts),
        lines.bald,
        None if cells is None else cells[kept].astype(np.int16),
    )


def read_vismap(content: bytes) -> NDArray[np.bool_]:
    """Read a `.vismap` file: which points of the scalp grid are seen.

    Returns:
        (32, 32, 100).

    Raises:
        ServingError: INVALID_TENSOR.
    """
    _check_size(content)
    if not content.startswith(NPY_MAGIC):
        raise refusal("it has no npy header; send a .vismap file")
    return mask_from_vismap(content)


def _filled_cells(grid: NDArray[np.float32]) -> tuple[Polylines, NDArray[np.int64]]:
    points = grid[..., :3].reshape(GRID * GRID, GRID_POINTS, 3)
    cells = np.flatnonzero(lengths(points) > 0)
    counts = np.full(len(cells), GRID_POINTS)
    return Polylines(points[cells].reshape(-1, 3), counts, len(points) - len(cells)), cells


def _strands(
    lines: Polylines, kept: NDArray[np.int64], points: int, *, as_they_are: bool
) -> Strands:
    counts = lines.counts[kept]
    if len(kept) == len(lines.counts):
        rows = lines.points
    else:
        first = np.cumsum(lines.counts) - lines.counts
        rows = np.concatenate([lines.points[first[i] : first[i] + lines.counts[i]] for i in kept])
    if as_they_are and points == GRID_POINTS:
        by_strand = rows.reshape(-1, GRID_POINTS, 3)
        return Strands(by_strand, curliness_of(by_strand))
    return strands_from_polylines(rows, counts, points)


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """Which are kept: all, or as many as wanted, spread evenly."""
    return np.arange(count) if count <= wanted else np.arange(wanted) * count // wanted


def _check_size(content: bytes) -> None:
    if len(content) < 8:
        raise refusal(f"{len(content)} bytes came; send {KINDS}")
    if len(content) > MAX_BYTES:
        raise refusal(
            f"it has {len(content)} bytes, at most {MAX_BYTES} are allowed; send fewer strands"
        )


def _check_unmarked(content: bytes, name: str, suffix: str) -> None:
    """Refuse what bears the mark of another format, or the name of one."""
    for magic, what in _FOREIGN:
        if content.startswith(magic):
            raise refusal(f"{what} came; send {KINDS}")
    if suffix in ("convdata", "vismap", "npy"):
        raise refusal(f"{name:.60} has no npy header; it is damaged, or another kind of file")
    if suffix not in ("", "data"):
        raise refusal(f"a .{suffix:.20} file came; send {KINDS}")


def _check_places(lines: Polylines) -> None:
    if not len(lines.counts):
        raise refusal("it has no strand with a length, a bald head; send one with hair")
    farthest = float(np.abs(lines.points).max())
    if farthest > MAX_DISTANCE_M:
        raise refusal(
            f"a coordinate is {farthest:.3g}, at most {MAX_DISTANCE_M:g} m are allowed; save it "
            "in metres"
        )
    size = float(np.ptp(lines.points, axis=0).max())
    if not SIZES_M[0] <= size <= SIZES_M[1]:
        raise refusal(
            f"its strands reach over {size:.3g} m, hair over {SIZES_M[0]:g} to {SIZES_M[1]:g} m; "
            "save it in metres"
        )
