# SPDX-License-Identifier: Apache-2.0
"""Data sets of expressions: which are recorded, and the processes that record them.

A run that was killed is taken up by recording the shards that are missing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.errors import StarterError
from mien_starter.splits import identities
from mien_starter.spontaneity.recording import SIZE_PX, Item, Recording
from mien_starter.spontaneity.shards import pairs_file, write_atomically, write_shard
from mien_starter.worker_pool import done_by_workers

__all__ = ["PLAN_FILE", "ExpressionPlan", "MakeRecorder", "RecordsExpressions", "write_expressions"]

PLAN_FILE = "expressions.json"
SHARD_PAIRS = 240

Shard = tuple[str, list[Item]]


class RecordsExpressions(Protocol):
    """What is needed of `mien_starter.spontaneity.recording.Recorder`."""

    def record(self, item: Item) -> Recording:
        """Onset and apex of one expression."""


MakeRecorder = Callable[[int], RecordsExpressions]  # from the side of the photographs; picklable


@dataclass(frozen=True)
class ExpressionPlan:
    """All expressions of a folder: everybody poses and feels every emotion equally often.

    Attributes:
        split: "train", "calibrate" or "held_out".
        subjects: people.
        takes: of each emotion and kind.
        first: people of the split that are skipped.
        size_px: side of the photographs that crops are cut from.
        photographs: whether these are kept.
    """

    split: str
    subjects: int
    takes: int = 2
    first: int = 0
    size_px: int = SIZE_PX
    photographs: bool = False

    @property
    def pairs(self) -> int:
        """How many there are."""
        return self.subjects * self.takes * 2 * len(EMOTIONS)

    def shards(self) -> list[Shard]:
        """Name and expressions of each, person by person.

        Raises:
            ValueError: the split has fewer people.
        """
        items = [
            Item(person, emotion, spontaneous, take)
            for person in identities(self.split, self.subjects, self.first)
            for take in range(self.takes)
            for emotion in range(len(EMOTIONS))
            for spontaneous in (0, 1)
        ]
        return [
            (f"{place:05d}", items[start : start + SHARD_PAIRS])
            for place, start in enumerate(range(0, len(items), SHARD_PAIRS))
        ]


def write_expressions(
    plan: ExpressionPlan,
    directory: Path,
    make_recorder: MakeRecorder,
    *,
    processes: int = 1,
    on_progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Record every expression that is not there yet.

    Args:
        plan: of the folder.
        directory: made where it is missing.
        make_recorder: called once in every process.
        processes: 1 works in this one.
        on_progress: told how many pairs are finished, those of earlier runs included.

    Raises:
        StarterError: the folder holds another plan's.
        ValueError: the split has fewer people.
    """
    shards = plan.shards()
    _keep_plan(plan, directory)
    missing = [s for s in shards if not pairs_file(directory, s[0]).is_file()]
    done = plan.pairs - sum(len(items) for _, items in missing)
    on_progress(done)
    work = _Work(directory, plan, make_recorder)
    for _, items in done_by_workers(work.started, missing, processes):
        done += len(items)
        on_progress(done)


@dataclass(frozen=True)
class _Work:
    directory: Path
    plan: ExpressionPlan
    make_recorder: MakeRecorder

    def started(self) -> Callable[[Shard], None]:
        recorder = self.make_recorder(self.plan.size_px)

        def write(shard: Shard) -> None:
            name, items = shard
            recordings = [recorder.record(item) for item in items]
            write_shard(self.directory, name, recordings, photographs=self.plan.photographs)

        return write


def _keep_plan(plan: ExpressionPlan, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PLAN_FILE
    if path.is_file() and (found := ExpressionPlan(**json.loads(path.read_text()))) != plan:
        raise StarterError(
            f"{directory} holds other expressions, {found}; asked for were {plan}. Give the same "
            "options to finish them, or another folder."
        )
    write_atomically(path, (json.dumps(dataclasses.asdict(plan), indent=2) + "\n").encode())
