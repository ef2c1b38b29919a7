# SPDX-License-Identifier: Apache-2.0
"""What every method of the blocking client stands on: it performs the steps of flows."""

from __future__ import annotations

import time
from typing import Any, TypeVar, cast

from mien._config import Retry
from mien._errors import MienError
from mien._flows import Budget, Flow, Send, UntrainedCache, Wait
from mien._transport import Transport

__all__ = ["ClientCore"]

T = TypeVar("T")


class ClientCore:
    """Sends what flows ask for, and blocks until it is answered.

    Args:
        transport: to send through.
        retry: how an unavailable server is asked again.
        deadline_s: for every method, in place of its own default.
    """

    def __init__(self, transport: Transport, *, retry: Retry, deadline_s: float | None) -> None:
        self._retry = retry
        self._deadline_s = deadline_s
        self._cache = UntrainedCache()
        self._transport = transport

    def _budget(self, deadline_s: float | None, default_s: float) -> Budget:
        candidates = (deadline_s, self._deadline_s, default_s)
        return Budget(next(s for s in candidates if s is not None), self._retry)

    def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._perform(step)
                except MienError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as done:
            return cast(T, done.value)
        except MienError:
            self._cache.drop()
            raise

    def _perform(self, step: Send | Wait) -> Any:
        if isinstance(step, Wait):
            return time.sleep(step.seconds)
        return self._transport.send(step.rpc, timeout_s=step.timeout_s)
