# SPDX-License-Identifier: Apache-2.0
"""Fills folders of `mien_starter.grooms`: which styles, how stored, in which processes.

Letters  N styles, V views of each, K steps along a strand; the grid is 32 x 32.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.grooms import labels_file, packed_steps, strands_file
from mien_starter.splits import identities
from mien_starter.worker_pool import done_by_workers

__all__ = ["GroomPlan", "StyleView", "Wigmaker", "write_grooms"]

SHARD_STYLES = 64
PLAN_FILE = "grooms.json"


@dataclass(frozen=True, eq=False)
class StyleView:
    """A style seen from somewhere.

    Attributes:
        map_rgb: (256, 256, 3) uint8 in HairNet's encoding.
        seen: (32, 32, K) bool, whether the map shows the end of each step.
        yaw_deg: how far the head is turned, positive to the image's right.
    """

    map_rgb: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    yaw_deg: float


class Wigmaker(Protocol):
    """Makes styles and looks at them."""

    @property
    def roots(self) -> NDArray[np.float32]:
        """(32, 32, 3) metres, of every style."""

    def groom(self, number: int) -> NDArray[np.float32]:
        """(32, 32, 100, 4) strands of a number; a cell of zeros has none."""

    def views(self, number: int, grid: NDArray[np.float32], count: int) -> list[StyleView]:
        """A style from a few sides."""


@dataclass(frozen=True)
class GroomPlan:
    """All styles of a folder.

    Attributes:
        split: "train", "calibrate" or "held_out".
        styles: N.
        views: V.
        first: styles of the split that are skipped.
    """

    split: str
    styles: int
    views: int = 3
    first: int = 0

    def shards(self) -> list[tuple[str, list[int]]]:
        """Name and numbers of each."""
        numbers = list(identities(self.split, self.styles, self.first))
        return [
            (f"{place:05d}", numbers[start : start + SHARD_STYLES])
            for place, start in enumerate(range(0, len(numbers), SHARD_STYLES))
        ]


def write_grooms(
    plan: GroomPlan,
    directory: Path,
    make_wigmaker: Callable[[], Wigmaker],
    *,
    processes: int = 1,
    on_progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Make every style that is not there yet.

    Args:
        plan: of the folder.
        directory: made where it is missing.
        make_wigmaker: called once in every process; picklable.
        processes: 1 works in this one.
        on_progress: told how many styles are finished, those of earlier runs included.

    Raises:
        StarterError: the folder holds another plan's.
    """
    _keep_plan(plan, directory)
    shards = plan.shards()
    missing = [s for s in shards if not labels_file(directory, s[0]).is_file()]
    done = plan.styles - sum(len(numbers) for _, numbers in missing)
    on_progress(done)
    work = _Work(directory, plan.views, make_wigmaker)
    for _, numbers in done_by_workers(work.started, missing, processes):
        done += len(numbers)
        on_progress(done)


@dataclass(frozen=True)
class _Work:
    directory: Path
    views: int
    make_wigmaker: Callable[[], Wigmaker]

    def started(self) -> Callable[[tuple[str, list[int]]], None]:
        wigmaker = self.make_wigmaker()
        return lambda shard: _write_shard(self.directory, shard, self.views, wigmaker)


def _write_shard(
    directory: Path, shard: tuple[str, list[int]], views: int, wigmaker: Wigmaker
) -> None:
    name, numbers = shard
    strands, seen, pngs, yaws = [], [], [], []
    for number in numbers:
        grid = wigmaker.groom(number)
        strands.append(packed_steps(grid))
        for view in wigmaker.views(number, grid, views):
            bgr = cv2.cvtColor(view.map_rgb, cv2.COLOR_RGB2BGR)
            pngs.append(cv2.imencode(".png", bgr)[1].ravel())
            seen.append(np.packbits(view.seen))
            yaws.append(view.yaw_deg)
    content = io.BytesIO()
    np.save(content, np.stack(strands))
    arrays: dict[str, NDArray[Any]] = {
        "number": np.array(numbers, np.int64),
        "pngs": np.concatenate(pngs),
        "ends": np.cumsum([png.size for png in pngs]),
        "seen": np.stack(seen),
        "yaw_deg": np.array(yaws, np.float32),
        "roots": np.asarray(wigmaker.roots, np.float32),
    }
    labels = io.BytesIO()
    np.savez(labels, **arrays)
    _write_atomically(strands_file(directory, name), content.getvalue())
    _write_atomically(labels_file(directory, name), labels.getvalue())


def _keep_plan(plan: GroomPlan, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PLAN_FILE
    if path.is_file() and (found := GroomPlan(**json.loads(path.read_text()))) != plan:
        raise StarterError(
            f"{directory} holds other grooms, {found}; asked for were {plan}. Give the same "
            "options to finish them, or another folder."
        )
    _write_atomically(path, (json.dumps(dataclasses.asdict(plan), indent=2) + "\n").encode())


def _write_atomically(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
