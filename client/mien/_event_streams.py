# SPDX-License-Identifier: Apache-2.0
"""What `generate` returns and avatars come through: events as they come, blocking or awaited.

A test compares the two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from mien._errors import MienError
from mien._flows import Wait
from mien._generation_flow import Emit, Encode, EventFlow, LetEnd, Open, Receive
from mien._images import encoded_image
from mien._message_streams import AsyncMessageStream, MessageStream
from mien._transport import AsyncTransport, Transport

__all__ = ["AsyncEventStream", "EventStream"]

E = TypeVar("E")


class EventStream(Generic[E]):
    """Events of one request; an iterator and a context manager, for one thread at a time.

    The request is sent when the first event is asked for. Leaving a loop over the events early,
    `close`, the end of a with block, and letting go of this object cancel it, and the server stops
    working on it. After that, and after an error, there are no more events.

    Args:
        transport: what to send through.
        flow: the steps to take.
    """

    def __init__(self, transport: Transport, flow: EventFlow) -> None:
        self._transport = transport
        self._flow = flow
        self._messages: MessageStream | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[E]:
        """A loop that closes the stream when it is left."""
        try:
            while (event := self._next_event()) is not None:
                yield event
        finally:
            self.close()

    def __next__(self) -> E:
        event = self._next_event()
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Cancel the request unless it has ended. From any thread; may be called twice."""
        self._is_closed = True
        if self._messages is not None:
            self._messages.cancel()

    def __enter__(self) -> EventStream[E]:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _next_event(self) -> E | None:
        if self._is_closed:
            return None
        try:
            step = next(self._flow)
            while not isinstance(step, Emit):
                try:
                    answer = self._perform(step)
                except MienError as error:
                    step = self._flow.throw(error)
                else:
                    step = self._flow.send(answer)
        except StopIteration:
            self.close()
            return None
        except BaseException:
            self.close()
            raise
        event: E = step.event
        return event

    def _perform(self, step: Encode | Open | Receive | LetEnd | Wait) -> Any:
        if isinstance(step, Encode):
            return encoded_image(step.image, step.what)
        if isinstance(step, Wait):
            return time.sleep(step.seconds)
        if isinstance(step, Open):
            return self._open(step)
        assert self._messages is not None
        if isinstance(step, LetEnd):
            return self._messages.let_end()
        return self._messages.receive()

    def _open(self, step: Open) -> None:
        if self._messages is not None:
            self._messages.cancel()
        self._messages = self._transport.stream(step.rpc, timeout_s=step.timeout_s)
        if self._is_closed:  # by another thread, which may not have seen these messages
            self._messages.cancel()


class AsyncEventStream(Generic[E]):
    """Events of one request; an asynchronous iterator and context manager, for one task at a time.

    The request is sent when the first event is asked for. Leaving a loop over the events early,
    `aclose`, the end of a with block, cancelling the task that waits for an event, and letting go
    of this object cancel it, and the server stops working on it. After that, and after an error,
    there are no more events.

    Args:
        transport: what to send through.
        flow: the steps to take.
    """

    def __init__(self, transport: AsyncTransport, flow: EventFlow) -> None:
        self._transport = transport
        self._flow = flow
        self._messages: AsyncMessageStream | None = None
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[E]:
        """A loop that closes the stream when it is left."""
        try:
            while (event := await self._next_event()) is not None:
                yield event
        finally:
            self._close()

    async def __anext__(self) -> E:
        event = await self._next_event()
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Cancel the request unless it has ended. May be called twice."""
        self._close()

    async def __aenter__(self) -> AsyncEventStream[E]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        if self._messages is not None:
            self._messages.cancel()

    async def _next_event(self) -> E | None:
        if self._is_closed:
            return None
        try:
            step = next(self._flow)
            while not isinstance(step, Emit):
                try:
                    answer = await self._perform(step)
                except MienError as error:
                    step = self._flow.throw(error)
                else:
                    step = self._flow.send(answer)
        except StopIteration:
            self._close()
            return None
        except BaseException:
            self._close()
            raise
        event: E = step.event
        return event

    async def _perform(self, step: Encode | Open | Receive | LetEnd | Wait) -> Any:
        if isinstance(step, Encode):
            return await asyncio.to_thread(encoded_image, step.image, step.what)
        if isinstance(step, Wait):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Open):
            return self._open(step)
        assert self._messages is not None
        if isinstance(step, LetEnd):
            return await self._messages.let_end_async()
        return await self._messages.receive_async()

    def _open(self, step: Open) -> None:
        if self._messages is not None:
            self._messages.cancel()
        self._messages = self._transport.stream_async(step.rpc, timeout_s=step.timeout_s)
        if self._is_closed:  # by another task, while this one waited
            self._messages.cancel()
