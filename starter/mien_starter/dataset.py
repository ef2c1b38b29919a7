# SPDX-License-Identifier: Apache-2.0
"""Data sets: which photographs are taken, in which order, and the processes that take them.

Every photograph is determined by its person and its shot, and every shard by the plan; a run that
was killed is taken up by rendering the shards that are missing.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.shards import FACES, NEGATIVES, LabelledPhotograph, is_finished, write_shard
from mien_starter.splits import identities

__all__ = ["DatasetPlan", "MakeWorld", "PhotographWorld", "Shard", "read_plan", "render"]

SHARD_PHOTOGRAPHS = 256
SHOTS_TOGETHER = 4
PLAN_FILE = "dataset.json"


class PhotographWorld(Protocol):
    """What is needed of `mien_starter.world.World`."""

    def photograph(self, identity: int, shot: int) -> LabelledPhotograph:
        """One person in one photograph."""

    def background(self, number: int) -> NDArray[np.uint8]:
        """(size, size, 3) without a face."""


MakeWorld = Callable[[int], PhotographWorld]  # from the side of the photographs; picklable


@dataclass(frozen=True)
class Shard:
    """Photographs that are stored together: (identity, shot) of each, or (-1, number)."""

    name: str
    items: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class DatasetPlan:
    """All photographs of a data set.

    Attributes:
        split: "train", "calibrate" or "held_out".
        identities: people.
        shots: photographs of each.
        first: people of the split that are skipped, so that two data sets can have different ones.
        negatives: images without a face.
        seed: of the order.
        size_px: side of the photographs.
    """

    split: str
    identities: int
    shots: int
    first: int = 0
    negatives: int = 0
    seed: int = 0
    size_px: int = 256

    def shards(self) -> list[Shard]:
        """Faces person by person, a few shots of each at a time; then backgrounds by number.

        The people are shuffled anew for the second few shots and so on: the first shards show
        anyone, and the first part of the data set shows everyone. Rendering a person several times
        in a row is what makes it fast. People of different splits have different backgrounds.
        """
        people = identities(self.split, self.identities, self.first)
        rng = np.random.default_rng(self.seed)
        pairs = [
            (people[place], shot)
            for start in range(0, self.shots, SHOTS_TOGETHER)
            for place in rng.permutation(len(people))
            for shot in range(start, min(start + SHOTS_TOGETHER, self.shots))
        ]
        backgrounds = [(-1, people[0] + number) for number in range(self.negatives)]
        return [
            *_sharded(FACES, pairs),
            *_sharded(NEGATIVES, backgrounds),
        ]


def _sharded(kind: str, items: list[tuple[int, int]]) -> Iterator[Shard]:
    for number, start in enumerate(range(0, len(items), SHARD_PHOTOGRAPHS)):
        yield Shard(f"{kind}-{number:05d}", tuple(items[start : start + SHARD_PHOTOGRAPHS]))


def read_plan(directory: Path) -> DatasetPlan:
    """The plan of the data set in a folder.

    Raises:
        StarterError: there is none.
    """
    path = directory / PLAN_FILE
    if not path.is_file():
        raise StarterError(
            f"{directory} holds no data set ({PLAN_FILE} is missing); render one with "
            "`python -m mien_starter dataset`."
        )
    return DatasetPlan(**json.loads(path.read_text()))


def render(
    plan: DatasetPlan,
    directory: Path,
    make_world: MakeWorld,
    *,
    processes: int = 1,
    on_progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Take every photograph that is not there yet.

    Args:
        plan: of the whole data set.
        directory: made where it is missing.
        make_world: called once in every process.
        processes: 1 renders in this one.
        on_progress: told how many photographs are finished, those of earlier runs included.

    Raises:
        StarterError: the folder holds another data set.
    """
    _keep_plan(plan, directory)
    shards = plan.shards()
    missing = [shard for shard in shards if not is_finished(directory / shard.name)]
    finished = sum(len(shard.items) for shard in shards) - sum(len(s.items) for s in missing)
    on_progress(finished)
    for shard in _rendered(missing, directory, make_world, plan.size_px, processes):
        finished += len(shard.items)
        on_progress(finished)


def _keep_plan(plan: DatasetPlan, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PLAN_FILE
    if path.is_file() and (found := read_plan(directory)) != plan:
        raise StarterError(
            f"{directory} holds another data set, {found}; asked for was {plan}. Give the same "
            "options to finish it, or another folder."
        )
    unfinished = path.with_name(f".{PLAN_FILE}.{os.getpid()}")
    unfinished.write_text(json.dumps(dataclasses.asdict(plan), indent=2) + "\n")
    os.replace(unfinished, path)


def _rendered(
    shards: Iterable[Shard], directory: Path, make_world: MakeWorld, size_px: int, processes: int
) -> Iterator[Shard]:
    if processes == 1:
        world = make_world(size_px)
        for shard in shards:
            yield _write(world, shard, directory)
        return
    # A renderer's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (make_world, size_px)) as pool:
        running = {pool.submit(_write_in_process, shard, directory) for shard in shards}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write(world: PhotographWorld, shard: Shard, directory: Path) -> Shard:
    write_shard(
        directory / shard.name,
        (
            (number, world.background(number) if person < 0 else world.photograph(person, number))
            for person, number in shard.items
        ),
    )
    return shard


_worlds: list[PhotographWorld] = []  # of this process: one, once it has started


def _start(make_world: MakeWorld, size_px: int) -> None:
    cv2.setNumThreads(1)
    _worlds.append(make_world(size_px))


def _write_in_process(shard: Shard, directory: Path) -> Shard:
    return _write(_worlds[0], shard, directory)
