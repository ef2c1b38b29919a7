# SPDX-License-Identifier: Apache-2.0
"""The messages that answer one request over gRPC, one by one; see `_transport`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

import grpc

from mien._errors import MienError
from mien._interrupts import cancel_outcome, may_be_interrupted, run_out_of_reach

__all__ = [
    "AsyncGrpcMessageStream",
    "AsyncMessageStream",
    "GrpcMessageStream",
    "MessageStream",
]


END_S = 5.0


class MessageStream(Protocol):
    """What `Client` receives through, where one request has many answers."""

    def receive(self) -> Any:
        """The next message; None where the stream has ended in good order.

        Raises:
            MienError: there is none.
        """

    def let_end(self) -> None:
        """Wait `END_S` at most for the stream to end by itself."""

    def cancel(self) -> None:
        """Have the server stop working on it; from any thread, at any time, more than once."""


class AsyncMessageStream(Protocol):
    """What `AsyncClient` receives through, where one request has many answers."""

    async def receive_async(self) -> Any:
        """The next message; None where the stream has ended in good order.

        Raises:
            MienError: there is none.
        """

    async def let_end_async(self) -> None:
        """Wait `END_S` at most for the stream to end by itself."""

    def cancel(self) -> None:
        """Have the server stop working on it; at any time, more than once."""


class GrpcMessageStream:
    """A stream of a blocking channel, begun when it is made.

    Args:
        begin: starts gRPC's call.
        mien_error: says what an error of gRPC means.
    """

    def __init__(self, begin: Callable[[], Any], mien_error: Callable[[Any], MienError]) -> None:
        self._mien_error = mien_error
        self._beginning: Future[Any] = Future()
        try:
            run_out_of_reach(begin, self._beginning)
        except BaseException:
            self.cancel()
            raise

    def receive(self) -> Any:
        """See `MessageStream.receive`."""
        try:
            read = partial(next, self._beginning.result(), None)
            if not may_be_interrupted():
                return read()
            reading: Future[Any] = Future()
            run_out_of_reach(read, reading)
            return reading.result()
        except (grpc.RpcError, ValueError) as error:  # ValueError: the channel was just closed
            raise self._mien_error(error) from error

    def let_end(self) -> None:
        """See `MessageStream.let_end`."""
        ended = threading.Event()
        if self._beginning.result().add_callback(ended.set):
            ended.wait(END_S)

    def cancel(self) -> None:
        """See `MessageStream.cancel`."""
        cancel_outcome(self._beginning)


class AsyncGrpcMessageStream:
    """A stream of a channel of an event loop.

    Args:
        call: gRPC's.
        mien_error: says what a status and its details mean.
    """

    def __init__(
        self, call: Any, mien_error: Callable[[grpc.StatusCode, str | None], MienError]
    ) -> None:
        self._call = call
        self._mien_error = mien_error

    async def receive_async(self) -> Any:
        """See `AsyncMessageStream.receive_async`."""
        # In a task of its own: where the call was cancelled, reading raises CancelledError, which
        # would look as if the caller's own task had been cancelled.
        reading = asyncio.ensure_future(self._read())
        await asyncio.wait([reading])
        if reading.cancelled():
            raise self._mien_error(grpc.StatusCode.CANCELLED, "Channel or stream closed!")
        try:
            return reading.result()
        except grpc.aio.AioRpcError as error:
            raise self._mien_error(error.code(), error.details()) from error

    async def let_end_async(self) -> None:
        """See `AsyncMessageStream.let_end_async`."""
        await asyncio.wait([asyncio.ensure_future(self._call.code())], timeout=END_S)

    async def _read(self) -> Any:
        async for message in self._call:
            return message
        return None

    def cancel(self) -> None:
        """See `AsyncMessageStream.cancel`."""
        self._call.cancel()
