# SPDX-License-Identifier: Apache-2.0
"""Who shares the next call of the network: samples join and leave between steps.

Jobs share the rows of a step equally, however many samples each of them has (start-time fair
queuing, Goyal et al. 1996, with a row as the unit of service): a job that has been served least
goes first, and a new one starts where the least served of the others stands. So a newcomer is in
the very next step, and a hundred images do not hold up one.

Letters  R rows of a step; a sample asks for one or two.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.guidance import Keep
from mien_server.diffusion.sample import Question, Sample

__all__ = ["Crowd", "Member", "Step"]

Job = TypeVar("Job")  # anything hashable


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A sample and what it is conditioned on.

    Attributes:
        sample: moves with every step.
        identity: (C,) context.
        style: (C,) context.
    """

    sample: Sample
    identity: NDArray[np.float32]
    style: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Step(Generic[Job]):
    """One call of the network: who asks, and the rows of all of them end to end.

    Attributes:
        members: job and number within the job of each sample that is in the step.
        rows_of: rows of each of them.
        z: (R, ...) latents.
        t: (R,) float32 timesteps.
        identity: (R, C).
        style: (R, C).
        keep_identity: (R, 1) float32, 1 or 0.
        keep_style: (R, 1).
    """

    members: tuple[tuple[Job, int], ...]
    rows_of: tuple[int, ...]
    z: NDArray[np.float32]
    t: NDArray[np.float32]
    identity: NDArray[np.float32]
    style: NDArray[np.float32]
    keep_identity: NDArray[np.float32]
    keep_style: NDArray[np.float32]


@dataclass(slots=True)
class _Queue:
    """A job's members that still have steps to take, and what the job has been given."""

    members: dict[int, Member]
    served: float
    arrival: int = field(default=0)


class Crowd(Generic[Job]):
    """Everything that is being sampled; not thread-safe.

    Args:
        max_rows: of a step, 2 or more.

    Raises:
        ValueError: a guided sample would not fit.
    """

    def __init__(self, max_rows: int) -> None:
        if max_rows < 2:
            raise ValueError(f"max_rows is {max_rows}; a guided sample needs 2")
        self._max_rows = max_rows
        self._queues: dict[Job, _Queue] = {}
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        """Samples that have steps to take."""
        return sum(len(queue.members) for queue in self._queues.values())

    @property
    def jobs(self) -> list[Job]:
        """Those that have samples with steps to take, in the order of their arrival."""
        return list(self._queues)

    def join(self, job: Job, members: Sequence[Member]) -> None:
        """Take samples in, to be in the next step.

        Raises:
            ValueError: the job is there already.
        """
        if job in self._queues:
            raise ValueError(f"job {job} has joined already")
        waiting = {number: m for number, m in enumerate(members) if m.sample.steps_left}
        if waiting:
            served = min((queue.served for queue in self._queues.values()), default=0.0)
            self._queues[job] = _Queue(waiting, served, next(self._arrivals))

    def leave(self, job: Job) -> None:
        """Forget a job, wherever it stands; what is not known is no error."""
        self._queues.pop(job, None)

    def next_step(self) -> Step[Job] | None:
        """The rows that the network should be asked now; None where nobody asks."""
        chosen = self._chosen()
        if not chosen:
            return None
        rows: list[tuple[Member, Question, Keep]] = []
        for job, number in chosen:
            member = self._queues[job].members[number]
            question = member.sample.question()
            rows += [(member, question, keep) for keep in question.keep]
        keeps = np.array([keep for _, _, keep in rows], np.float32)
        return Step(
            members=tuple(chosen),
            rows_of=tuple(self._rows(job, number) for job, number in chosen),
            z=np.stack([question.z for _, question, _ in rows]),
            t=np.array([question.t for _, question, _ in rows], np.float32),
            identity=np.stack([member.identity for member, _, _ in rows]),
            style=np.stack([member.style for member, _, _ in rows]),
            keep_identity=keeps[:, :1],
            keep_style=keeps[:, 1:],
        )

    def take(self, step: Step[Job], eps: NDArray[np.float32]) -> list[tuple[Job, int, Sample]]:
        """Move on everybody who was in a step and has not left since.

        Args:
            step: of `next_step`.
            eps: (R, ...) the network's answer.

        Returns:
            Job, number and sample of those who moved; the finished ones are in the crowd no more.
        """
        moved = []
        start = 0
        for (job, number), count in zip(step.members, step.rows_of, strict=True):
            queue = self._queues.get(job)
            if queue and number in queue.members:
                sample = queue.members[number].sample
                sample.take(eps[start : start + count])
                queue.served += count
                if not sample.steps_left:
                    del queue.members[number]
                moved.append((job, number, sample))
            start += count
        for job in {job for job, _ in step.members}:
            if job in self._queues and not self._queues[job].members:
                del self._queues[job]
        return moved

    def _rows(self, job: Job, number: int) -> int:
        return len(self._queues[job].members[number].sample.question().keep)

    def _chosen(self) -> list[tuple[Job, int]]:
        """Samples of the next step: one after the other from the job that was served least."""
        left = {job: iter(queue.members) for job, queue in self._queues.items()}
        heap = [(queue.served, queue.arrival, job) for job, queue in self._queues.items()]
        heapq.heapify(heap)
        chosen: list[tuple[Job, int]] = []
        free = self._max_rows
        while heap and free:
            served, arrival, job = heapq.heappop(heap)
            number = next(left[job], None)
            if number is None:
                continue
            rows = self._rows(job, number)
            if rows > free:
                continue  # a job of one-row samples may still fit
            chosen.append((job, number))
            free -= rows
            heapq.heappush(heap, (served + rows, arrival, job))
        return chosen
