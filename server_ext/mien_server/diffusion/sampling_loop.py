# SPDX-License-Identifier: Apache-2.0
"""The thread in which everything is sampled: jobs come in at any time and join at the next step.

One call of the network moves everybody on. Jobs are told of their samples' steps in this thread, so
what they do there must be short; decoding and sending belong elsewhere.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.crowd import Crowd, Member, Step
from mien_server.diffusion.sample import Sample

__all__ = ["AskNetwork", "SamplingJob", "SamplingLoop"]

_LOG = logging.getLogger(__name__)


class SamplingJob(Protocol):
    """A request, as the loop sees it."""

    @property
    def members(self) -> Sequence[Member]:
        """Its samples."""

    def is_cancelled(self) -> bool:
        """True once nobody waits for it any more; asked before every step that it is in."""

    def moved(self, samples: Sequence[tuple[int, Sample]]) -> None:
        """These, by their numbers, have taken a step, maybe their last."""

    def cancelled(self) -> None:
        """The job has left, since `is_cancelled` said so."""

    def failed(self, error: Exception) -> None:
        """The network failed in a step of this job, which is not continued."""


AskNetwork = Callable[[Step[SamplingJob]], NDArray[np.float32]]


class SamplingLoop:
    """Runs from `start` to `stop`.

    Args:
        ask: one call of the network.
        max_rows: of such a call.
    """

    def __init__(self, ask: AskNetwork, max_rows: int) -> None:
        self._ask = ask
        self._crowd: Crowd[SamplingJob] = Crowd(max_rows)
        self._arriving: queue.SimpleQueue[SamplingJob | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def submit(self, job: SamplingJob) -> None:
        """Let a job join at the next step; from any thread."""
        self._arriving.put(job)

    def stop(self) -> None:
        """Finish what was submitted, then end."""
        self._arriving.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping or len(self._crowd):
            stopping = self._welcome(wait=not len(self._crowd) and not stopping) or stopping
            self._drop_cancelled()
            step = self._crowd.next_step()
            if step is not None:
                self._take(step)

    def _welcome(self, *, wait: bool) -> bool:
        """Let everybody in who has arrived; True if the loop is to end."""
        stopping = False
        while wait or not self._arriving.empty():
            job = self._arriving.get()
            wait = False
            if job is None:
                stopping = True
            else:
                self._crowd.join(job, job.members)
        return stopping

    def _drop_cancelled(self) -> None:
        for job in self._crowd.jobs:
            try:
                if job.is_cancelled():
                    self._crowd.leave(job)
                    job.cancelled()
            except Exception as error:  # of one job; the others go on
                self._dismiss(job, error)

    def _take(self, step: Step[SamplingJob]) -> None:
        try:
            eps = self._ask(step)
        except Exception as error:  # whatever it is, those who wait must hear of it
            for job in dict.fromkeys(job for job, _ in step.members):
                self._dismiss(job, error)
            return
        moved: dict[SamplingJob, list[tuple[int, Sample]]] = {}
        for job, number, sample in self._crowd.take(step, eps):
            moved.setdefault(job, []).append((number, sample))
        for job, samples in moved.items():
            try:
                job.moved(samples)
            except Exception as error:  # of one job; the others go on
                self._dismiss(job, error)

    def _dismiss(self, job: SamplingJob, error: Exception) -> None:
        """Let a job fail, without harm to the others whatever it does then."""
        _LOG.error("a job that is being sampled failed", exc_info=error)
        self._crowd.leave(job)
        try:
            job.failed(error)
        except Exception:
            _LOG.exception("a job could not be told that it failed")
