# SPDX-License-Identifier: Apache-2.0
"""Hairstyles with what is seen of them, on disk: what the hair VAE is trained and measured on.

A number is a style, always the same one, and belongs to a split as people's numbers do. A shard of
64 styles is two files: ``strands-00012.npy`` holds the steps of strands as half-precision numbers
and is mapped into memory; ``grooms-00012.npz`` the maps as PNGs, end to end, and which points are
seen in them. The second is renamed into place last, so a shard that has one is complete.

Letters  N styles, V views of each, K steps of three points along a strand; the grid is 32 x 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.splits import split_of

__all__ = ["STEPS", "STEP_POINTS", "Groom", "Grooms", "labels_file", "packed_steps", "strands_file"]

GRID, POINTS, STEP_POINTS = 32, 100, 3
STEPS = (POINTS - 1) // STEP_POINTS
_COMMAND = "python -m mien_starter grooms"
# Curliness is a few micrometres, where half precision has few digits left: all is in millimetres.
_UNIT_M = 0.001


def packed_steps(grid: NDArray[np.float32]) -> NDArray[np.float16]:
    """How strands are stored.

    Args:
        grid: (32, 32, 100, 4) x, y, z and curliness; a cell of zeros has no strand.

    Returns:
        (4, K, 32, 32) millimetres from one end of a step to the next, and curliness at its end;
        NaN where there is no strand.
    """
    points = grid[:, :, ::STEP_POINTS].astype(np.float64)
    steps = np.concatenate([np.diff(points[..., :3], axis=2), points[:, :, 1:, 3:]], axis=-1)
    steps[~grid.any(axis=(2, 3))] = np.nan
    packed: NDArray[np.float16] = (steps.transpose(3, 2, 0, 1) / _UNIT_M).astype(np.float16)
    return packed


def labels_file(directory: Path, name: str) -> Path:
    """Of a shard, written last."""
    return directory / f"grooms-{name}.npz"


def strands_file(directory: Path, name: str) -> Path:
    """Of a shard."""
    return directory / f"strands-{name}.npy"


@dataclass(frozen=True, eq=False)
class Groom:
    """A style's strands as the VAE has them.

    Attributes:
        steps: (4, K, 32, 32) float32 metres from one end of a step to the next, and curliness at
            its end; 0 where there is no strand.
        grows: (32, 32) bool.
    """

    steps: NDArray[np.float32]
    grows: NDArray[np.bool_]


class Grooms:
    """Styles and views that are finished in some folders, N styles with V views each.

    An index is a view: those of style i are V i to V i + V - 1.

    Args:
        directories: folders of `write_grooms`.
        limit: look at no more than so many views.

    Raises:
        StarterError: there are none, or their roots or numbers of views differ.
    """

    def __init__(self, directories: Sequence[Path], limit: int | None = None) -> None:
        files = [path for d in directories for path in sorted(d.glob("grooms-*.npz"))]
        if not files:
            raise StarterError(
                f"no finished grooms in {', '.join(map(str, directories))}; make some with "
                f"`{_COMMAND}`."
            )
        archives = [_read(path) for path in files]
        self.roots: NDArray[np.float32] = archives[0]["roots"]
        self.views = len(archives[0]["ends"]) // len(archives[0]["number"])
        for path, archive in zip(files, archives, strict=True):
            same_views = len(archive["ends"]) == self.views * len(archive["number"])
            if not same_views or not np.array_equal(archive["roots"], self.roots):
                raise StarterError(
                    f"{path} has other roots or another number of views than {files[0]}; give "
                    "folders that were made alike."
                )
        self.numbers: NDArray[np.int64] = np.concatenate([a["number"] for a in archives])
        self.yaw_deg: NDArray[np.float32] = np.concatenate([a["yaw_deg"] for a in archives])
        self._pngs = [p for a in archives for p in np.split(a["pngs"], a["ends"][:-1])]
        self._seen = np.concatenate([a["seen"] for a in archives])
        counts = [len(a["number"]) for a in archives]
        self._shard = np.repeat(np.arange(len(counts)), counts)
        self._row = np.concatenate([np.arange(n) for n in counts])
        self._files = [strands_file(path.parent, path.stem.split("-")[1]) for path in files]
        self._mapped: dict[int, NDArray[np.float16]] = {}
        self._count = min(limit or len(self._pngs), len(self._pngs))

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}

    @property
    def splits(self) -> list[str]:
        """Names of the splits that the styles belong to, in alphabetical order."""
        return sorted({split_of(int(number)) for number in self.numbers})

    def of_split(self, split: str) -> Grooms:
        """These, if they are all of one split.

        Raises:
            StarterError: they are not.
        """
        if self.splits != [split]:
            raise StarterError(
                f"the grooms are of the split {' and '.join(self.splits)}; expected {split}. Give "
                "other folders."
            )
        return self

    def map_rgb(self, index: int) -> NDArray[np.uint8]:
        """(256, 256, 3) uint8 of a view."""
        bgr = cv2.imdecode(self._pngs[index], cv2.IMREAD_COLOR)
        image: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return image

    def seen(self, index: int) -> NDArray[np.bool_]:
        """(K, 32, 32) whether a view shows the ends of steps."""
        bits = np.unpackbits(self._seen[index], count=GRID * GRID * STEPS)
        return np.moveaxis(bits.reshape(GRID, GRID, STEPS), -1, 0) > 0

    def groom(self, index: int) -> Groom:
        """The style of a view."""
        style = index // self.views
        shard = int(self._shard[style])
        if shard not in self._mapped:
            self._mapped[shard] = np.load(self._files[shard], mmap_mode="r")
        steps = self._mapped[shard][self._row[style]].astype(np.float32) * np.float32(_UNIT_M)
        grows = np.isfinite(steps[0, 0])
        steps[:, :, ~grows] = 0
        return Groom(steps, grows)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
