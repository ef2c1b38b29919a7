# SPDX-License-Identifier: Apache-2.0
"""What every method of the asynchronous client stands on: it performs the steps of flows."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar, cast

from mien._config import Retry
from mien._errors import MienError
from mien._flows import Budget, Flow, Send, UntrainedCache, Wait
from mien._transport import AsyncTransport

__all__ = ["AsyncClientCore"]

T = TypeVar("T")


class AsyncClientCore:
    """Sends what flows ask for, and awaits the answer.

    Args:
        transport: to send through.
        retry: how an unavailable server is asked again.
        deadline_s: for every method, in place of its own default.
    """

    def __init__(
        self, transport: AsyncTransport, *, retry: Retry, deadline_s: float | None
    ) -> None:
        self._retry = retry
        self._deadline_s = deadline_s
        self._cache = UntrainedCache()
        self._transport = transport

    def _budget(self, deadline_s: float | None, default_s: float) -> Budget:
        candidates = (deadline_s, self._deadline_s, default_s)
        return Budget(next(s for s in candidates if s is not None), self._retry)

    async def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self._perform(step)
                except MienError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as done:
            return cast(T, done.value)
        except MienError:
            self._cache.drop()
            raise

    async def _perform(self, step: Send | Wait) -> Any:
        if isinstance(step, Wait):
            return await asyncio.sleep(step.seconds)
        return await self._transport.send_async(step.rpc, timeout_s=step.timeout_s)
