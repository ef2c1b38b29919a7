# SPDX-License-Identifier: Apache-2.0
"""Photographs with their labels on disk, 256 to a shard, decoded when they are looked at.

A shard is two files: ``faces-00012.bin`` has JPEGs and mask PNGs end to end, ``faces-00012.npz``
says where each begins and holds the labels as arrays. The second is renamed into place last, so a
shard that has one is complete. Equal photographs make equal bytes.

Letters  N photographs, H and W of an image. Points are (x, y) as in `mien_server.warping`: the
centre of pixel i lies at i + 0.5.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.splits import split_of

__all__ = ["FACES", "NEGATIVES", "LabelledPhotograph", "Photographs", "is_finished", "write_shard"]

FACES, NEGATIVES = "faces", "negatives"
JPEG_QUALITY = 97

# The world's points count pixels by their centres, windows by their corners.
_CORNERS_FROM_CENTRES = 0.5
_FLOATS = ("codes", "shape", "expression", "pose", "landmarks", "landmarks_68")
_POINTS = ("landmarks", "landmarks_68")


class LabelledPhotograph(Protocol):
    """A photograph of the world, as far as it is stored; see `mien_starter.world`."""

    @property
    def image_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""

    @property
    def identity(self) -> int:
        """Number of the person."""

    @property
    def codes(self) -> NDArray[np.float32]:
        """(236,) in DECA's order."""

    @property
    def shape(self) -> NDArray[np.float32]:
        """(300,)."""

    @property
    def expression(self) -> NDArray[np.float32]:
        """(100,)."""

    @property
    def pose(self) -> NDArray[np.float32]:
        """(15,) radians."""

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(5, 2) pixels, counted by their centres."""

    @property
    def landmarks_68(self) -> NDArray[np.float32]:
        """(68, 2) likewise."""

    @property
    def face_mask(self) -> NDArray[np.uint8]:
        """(H, W), 1 where skin is visible."""

    @property
    def attributes(self) -> dict[str, float | int | str]:
        """What else is known."""


def is_finished(stem: Path) -> bool:
    """True where both files of a shard are there."""
    return _labels(stem).is_file()


def write_shard(
    stem: Path, photographs: Iterable[tuple[int, LabelledPhotograph | NDArray[np.uint8]]]
) -> None:
    """Write a shard; nothing can be seen of it before it is complete.

    Args:
        stem: path without suffix.
        photographs: number of the shot and the photograph; or number and (H, W, 3) of an image
            without a face, whose identity becomes -1 and whose labels are NaN.
    """
    pieces: list[bytes] = []
    rows: list[dict[str, Any]] = []
    for number, photograph in photographs:
        row, image, mask = _row(number, photograph)
        rows.append(row)
        pieces += [
            _encoded(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG),
            _encoded(".png", np.where(mask, np.uint8(255), np.uint8(0)), _PNG),
        ]
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    arrays["ends"] = np.cumsum(lengths).reshape(-1, 2)  # of each one's JPEG and PNG
    _write_atomically(_content(stem), lambda path: path.write_bytes(b"".join(pieces)))
    _write_atomically(_labels(stem), lambda path: _save_arrays(path, arrays))


class Photographs:
    """What is finished of one or several data sets, in the order of their shards.

    Labels stay in memory (3 kB each), pixels in the files. Safe to hand to a forked process.

    Args:
        directories: folders of data sets.
        kind: `FACES` or `NEGATIVES`.
        limit: look at no more than this many photographs.

    Raises:
        StarterError: there is no finished shard of the kind.
    """

    def __init__(
        self, directories: Sequence[Path], kind: str = FACES, limit: int | None = None
    ) -> None:
        self._stems = [
            path.with_suffix("")
            for directory in directories
            for path in sorted(directory.glob(f"{kind}-*.npz"))
        ]
        if not self._stems:
            raise StarterError(
                f"no finished shard of {kind} in {', '.join(map(str, directories))}; render one "
                "with `python -m mien_starter dataset`."
            )
        shards = [_read_arrays(stem) for stem in self._stems]
        counts = [len(shard["identity"]) for shard in shards]
        count = min(limit or sum(counts), sum(counts))
        self.labels: dict[str, NDArray[Any]] = {
            name: np.concatenate([shard[name] for shard in shards])[:count] for name in shards[0]
        }
        for name in _POINTS:
            self.labels[name] += _CORNERS_FROM_CENTRES
        self._shard = np.repeat(np.arange(len(counts)), counts)
        self._row = np.concatenate([np.arange(n) for n in counts])
        self._contents: dict[int, NDArray[np.uint8]] = {}
        self._side_px: int | None = None

    def __len__(self) -> int:
        return len(self.labels["identity"])

    @property
    def side_px(self) -> int:
        """Of the photographs, which are square and all of one size."""
        if self._side_px is None:
            self._side_px = self.image_rgb(0).shape[0]
        return self._side_px

    @property
    def splits(self) -> list[str]:
        """Names of the splits that its people belong to, in alphabetical order."""
        return sorted({split_of(int(person)) for person in np.unique(self.labels["identity"])})

    def of_split(self, split: str) -> Photographs:
        """These photographs, if they are all of people of one split.

        Raises:
            StarterError: they are not.
        """
        if self.splits != [split]:
            raise StarterError(
                f"the photographs are of people of the split {' and '.join(self.splits)}; expected "
                f"{split}. Give other data sets."
            )
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_contents": {}}

    def image_rgb(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        start, end, _ = self._spans(index)
        bgr = cv2.imdecode(self._content(index)[start:end], cv2.IMREAD_COLOR)
        image: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return image

    def face_mask(self, index: int) -> NDArray[np.uint8]:
        """(H, W) uint8, 1 where skin is visible."""
        _, start, end = self._spans(index)
        mask: NDArray[np.uint8] = cv2.imdecode(
            self._content(index)[start:end], cv2.IMREAD_GRAYSCALE
        )
        return (mask > 0).astype(np.uint8)

    def attributes(self, index: int) -> dict[str, float | int | str]:
        """What else is known of the photograph."""
        known: dict[str, float | int | str] = json.loads(self.labels["attributes"][index])
        return known

    def _spans(self, index: int) -> tuple[int, int, int]:
        # Of one photograph: start of its JPEG, end of it and start of its PNG, end of that.
        start = 0 if self._row[index] == 0 else int(self.labels["ends"][index - 1, 1])
        jpeg_end, png_end = self.labels["ends"][index]
        return start, int(jpeg_end), int(png_end)

    def _content(self, index: int) -> NDArray[np.uint8]:
        shard = int(self._shard[index])
        if shard not in self._contents:
            self._contents[shard] = np.memmap(_content(self._stems[shard]), np.uint8, "r")
        return self._contents[shard]


_JPEG = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
_PNG = [cv2.IMWRITE_PNG_BILEVEL, 1]
_SIZES = {"codes": 236, "shape": 300, "expression": 100, "pose": 15}
_NO_FACE: dict[str, NDArray[np.float32]] = {
    name: np.full(_SIZES[name], np.nan, np.float32) for name in _SIZES
} | {
    "landmarks": np.full((5, 2), np.nan, np.float32),
    "landmarks_68": np.full((68, 2), np.nan, np.float32),
}


def _row(
    number: int, photograph: LabelledPhotograph | NDArray[np.uint8]
) -> tuple[dict[str, Any], NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels, image and mask of one photograph."""
    if isinstance(photograph, np.ndarray):
        row = {"identity": np.int64(-1), "shot": np.int64(number), **_NO_FACE}
        mask = np.zeros(photograph.shape[:2], np.uint8)
        return {**row, "attributes": np.array(b"{}")}, photograph, mask
    row = {"identity": np.int64(photograph.identity), "shot": np.int64(number)}
    row |= {name: np.asarray(getattr(photograph, name), np.float32) for name in _FLOATS}
    row["attributes"] = np.array(json.dumps(photograph.attributes, sort_keys=True).encode())
    return row, photograph.image_rgb, photograph.face_mask


def _encoded(suffix: str, image: NDArray[np.uint8], options: list[int]) -> bytes:
    done, content = cv2.imencode(suffix, image, options)
    assert done
    return bytes(content)


def _content(stem: Path) -> Path:
    return stem.with_suffix(".bin")


def _labels(stem: Path) -> Path:
    return stem.with_suffix(".npz")


def _save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_arrays(stem: Path) -> dict[str, NDArray[Any]]:
    with np.load(_labels(stem), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    # The name of the process keeps two writers of one shard apart.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    write(unfinished)
    os.replace(unfinished, path)
