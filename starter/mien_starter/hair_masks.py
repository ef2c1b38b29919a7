# SPDX-License-Identifier: Apache-2.0
"""Labels of hair beside the photographs of a data set, for training the segmenter.

To every shard ``faces-00012`` of photographs belongs a file ``masks-00012.npz`` in the same folder:
PNGs of `mien_starter.world.masks`, end to end, with the person and the shot of each. It is renamed
into place when it is complete, so a run that was killed is taken up where it stopped.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.shards import FACES, Photographs
from mien_starter.worker_pool import done_by_workers

__all__ = ["HairMasks", "write_masks"]

MASKS = "masks"
_COMMAND = "python -m mien_starter masks"

Labels = Callable[[int, int], NDArray[np.uint8]]  # of `MaskWorld`


def write_masks(
    directories: Sequence[Path],
    *,
    limit: int | None = None,
    processes: int = 1,
    make_labels: Callable[[int], Labels] | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> int:
    """Label the photographs that have no labels yet.

    Args:
        directories: of data sets.
        limit: only as many photographs, from the first shards of each; all by default.
        processes: 1 works in this one.
        make_labels: called in every process with the side of the photographs.
        on_progress: told how many photographs are labelled.

    Returns:
        How many photographs have labels.

    Raises:
        StarterError: there is no photograph.
    """
    stems = _stems(directories, limit)
    side = Photographs(directories, limit=1).side_px
    missing = [stem for stem in stems if not _file_of(stem).is_file()]
    counts = {stem: len(_items(stem)) for stem in stems}
    done = sum(counts.values()) - sum(counts[stem] for stem in missing)
    on_progress(done)
    make_work = functools.partial(_make_work, side, make_labels or _world_labels)
    for stem in done_by_workers(make_work, missing, processes):
        done += counts[stem]
        on_progress(done)
    return done


class HairMasks:
    """Labels by person and shot; a few kB each, kept in memory.

    Args:
        directories: of data sets.

    Raises:
        StarterError: there are none.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._pieces: dict[tuple[int, int], NDArray[np.uint8]] = {}
        for path in (p for d in directories for p in sorted(d.glob(f"{MASKS}-*.npz"))):
            with np.load(path, allow_pickle=False) as archive:
                pieces = np.split(archive["pngs"], archive["ends"][:-1])
                keys = zip(archive["identity"].tolist(), archive["shot"].tolist(), strict=True)
                self._pieces |= dict(zip(keys, pieces, strict=True))
        if not self._pieces:
            raise StarterError(
                f"no labels of hair in {', '.join(map(str, directories))}; make some with "
                f"`{_COMMAND}`."
            )

    def of(self, photographs: Photographs) -> NDArray[np.int64]:
        """Which photographs have labels.

        Raises:
            StarterError: none has.
        """
        labels = photographs.labels
        pairs = zip(labels["identity"].tolist(), labels["shot"].tolist(), strict=True)
        found = np.array([i for i, pair in enumerate(pairs) if pair in self._pieces], np.int64)
        if not len(found):
            raise StarterError(f"none of the photographs has labels of hair; see `{_COMMAND}`.")
        return found

    def labels(self, identity: int, shot: int) -> NDArray[np.uint8]:
        """(H, W) of `mien_starter.world.masks`."""
        image: NDArray[np.uint8] = cv2.imdecode(self._pieces[identity, shot], cv2.IMREAD_GRAYSCALE)
        return image


def _stems(directories: Sequence[Path], limit: int | None) -> list[Path]:
    stems = []
    for directory in directories:
        seen = 0
        for path in sorted(directory.glob(f"{FACES}-*.npz")):
            if limit is not None and seen >= limit:
                break
            stems.append(path.with_suffix(""))
            seen += len(_items(stems[-1]))
    return stems


def _items(stem: Path) -> list[tuple[int, int]]:
    with np.load(stem.with_suffix(".npz"), allow_pickle=False) as archive:
        return list(zip(archive["identity"].tolist(), archive["shot"].tolist(), strict=True))


def _file_of(stem: Path) -> Path:
    return stem.with_name(stem.name.replace(FACES, MASKS, 1)).with_suffix(".npz")


def _world_labels(side: int) -> Labels:
    from mien_starter.world.masks import MaskWorld

    return MaskWorld(side).labels


def _make_work(side: int, make_labels: Callable[[int], Labels]) -> Callable[[Path], None]:
    return functools.partial(_write, make_labels(side))


def _write(labels: Labels, stem: Path) -> None:
    items = _items(stem)
    pngs = [cv2.imencode(".png", labels(identity, shot))[1] for identity, shot in items]
    identity, shot = np.array(items, np.int64).reshape(-1, 2).T
    arrays: dict[str, NDArray[Any]] = {
        "pngs": np.concatenate([png.ravel() for png in pngs]),
        "ends": np.cumsum([png.size for png in pngs]),
        "identity": identity,
        "shot": shot,
    }
    path = _file_of(stem)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(unfinished, path)
