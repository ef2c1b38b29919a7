# SPDX-License-Identifier: Apache-2.0
"""The only seam to the network: one RPC out, one message, a stream or one `MienError` back.

Built on gRPC directly rather than on tritonclient's client classes, which turn status codes into
text and cannot cancel. An RPC whose caller leaves, for whatever reason, is cancelled, so that the
server stops working on it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2_grpc

from mien._config import MessageLimits, Tls
from mien._errors import ClientClosedError, InvalidRequestError, MienError, error_from_status
from mien._interrupts import cancel_outcome, may_be_interrupted, run_out_of_reach
from mien._message_streams import (
    AsyncGrpcMessageStream,
    AsyncMessageStream,
    GrpcMessageStream,
    MessageStream,
)
from mien._requests import Rpc

__all__ = ["AsyncGrpcTransport", "AsyncTransport", "GrpcTransport", "Transport"]

# Triton answers pings that come more often than every 300 s with GOAWAY (its flag
# --grpc-http2-min-recv-ping-interval-without-data), so dead peers are found by deadlines instead
# and pings only keep idle connections through firewalls.
_KEEPALIVE_MS = 330_000
_KEEPALIVE_TIMEOUT_MS = 20_000
# gRPC's own 1 s -> 120 s would outlast the retries: they would fail without a new connection.
_INITIAL_RECONNECT_BACKOFF_MS = 250
_MAX_RECONNECT_BACKOFF_MS = 4_000

Metadata = tuple[tuple[str, str], ...]


class Transport(Protocol):
    """What `Client` sends through."""

    def send(self, rpc: Rpc, *, timeout_s: float) -> Any:
        """The answer to `rpc`.

        Args:
            rpc: what to send.
            timeout_s: seconds to wait at most.

        Raises:
            MienError: there is none.
        """

    def stream(self, rpc: Rpc, *, timeout_s: float) -> MessageStream:
        """The answers to `rpc`; it is sent at once, but only `MessageStream.receive` waits for it.

        Args:
            rpc: what to send.
            timeout_s: seconds that all answers together may take.

        Raises:
            MienError: it cannot be sent.
        """

    def close(self) -> None:
        """Cancel what is under way and let the connection go. May be called twice."""


class AsyncTransport(Protocol):
    """What `AsyncClient` sends through."""

    async def send_async(self, rpc: Rpc, *, timeout_s: float) -> Any:
        """The answer to `rpc`; cancelling the task cancels the RPC.

        Args:
            rpc: what to send.
            timeout_s: seconds to wait at most.

        Raises:
            MienError: there is none.
        """

    def stream_async(self, rpc: Rpc, *, timeout_s: float) -> AsyncMessageStream:
        """The answers to `rpc`; it is sent at once, but only the stream's `receive_async` waits.

        Args:
            rpc: what to send.
            timeout_s: seconds that all answers together may take.

        Raises:
            MienError: it cannot be sent.
        """

    async def close_async(self) -> None:
        """Cancel what is under way and let the connection go. May be called twice."""


class GrpcTransport:
    """A gRPC channel, safe between threads.

    Args:
        address: host:port.
        tls: None for an unencrypted connection.
        metadata: goes with every call.
        limits: the largest messages.

    Raises:
        InvalidOptionError: a TLS file cannot be read.
    """

    def __init__(
        self, address: str, *, tls: Tls | None, metadata: Metadata, limits: MessageLimits
    ) -> None:
        self._address = address
        self._metadata = metadata
        self._limits = limits
        self._is_closed = False
        options = _channel_options(tls, limits)
        if tls is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, _credentials(tls), options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def send(self, rpc: Rpc, *, timeout_s: float) -> Any:
        """See `Transport.send`."""
        self._check(rpc)
        call = partial(self._interruptible, rpc) if may_be_interrupted() else self._blocking(rpc)
        try:
            return call(rpc.request, timeout=timeout_s, metadata=self._metadata)
        except (grpc.RpcError, grpc.FutureCancelledError, ValueError) as error:
            raise self._mien_error(rpc, error) from error

    def stream(self, rpc: Rpc, *, timeout_s: float) -> MessageStream:
        """See `Transport.stream`."""
        self._check(rpc)
        options = {"timeout": timeout_s, "metadata": self._metadata}
        begin = partial(self._blocking(rpc), iter((rpc.request,)), **options)
        return GrpcMessageStream(begin, partial(self._mien_error, rpc))

    def _check(self, rpc: Rpc) -> None:
        if self._is_closed:
            raise _closed_error(rpc)
        _check_size(rpc, self._limits)

    def _blocking(self, rpc: Rpc) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._stub, rpc.method)
        return method

    def _interruptible(self, rpc: Rpc, *args: Any, **options: Any) -> Any:
        """The blocking call, cancelled if a signal handler raises: slower by two threads."""
        begin = partial(self._blocking(rpc).future, *args, **options)  # type: ignore[attr-defined]
        beginning: Future[Any] = Future()
        try:
            run_out_of_reach(begin, beginning)
            return beginning.result().result()
        finally:
            cancel_outcome(beginning)

    def _mien_error(self, rpc: Rpc, error: Any) -> MienError:
        if isinstance(error, ValueError):  # gRPC's word for a channel that was just closed
            if not self._is_closed:
                raise error
            return _closed_error(rpc)
        is_rpc_error = isinstance(error, grpc.RpcError)
        return error_from_status(
            error.code() if is_rpc_error else grpc.StatusCode.CANCELLED,
            error.details() if is_rpc_error else "Channel closed!",
            address=self._address,
            model_name=rpc.model_name,
            request_id=rpc.request_id,
        )

    def close(self) -> None:
        """See `Transport.close`."""
        self._is_closed = True
        self._channel.close()


class AsyncGrpcTransport:
    """A gRPC channel of one event loop, opened by the first call.

    Args:
        address: host:port.
        tls: None for an unencrypted connection.
        metadata: goes with every call.
        limits: the largest messages.

    Raises:
        InvalidOptionError: a TLS file cannot be read.
    """

    def __init__(
        self, address: str, *, tls: Tls | None, metadata: Metadata, limits: MessageLimits
    ) -> None:
        self._address = address
        self._metadata = metadata
        self._limits = limits
        self._is_closed = False
        self._options = _channel_options(tls, limits)
        self._credentials = None if tls is None else _credentials(tls)
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None

    async def send_async(self, rpc: Rpc, *, timeout_s: float) -> Any:
        """See `AsyncTransport.send_async`."""
        self._check(rpc)
        method = getattr(self._open_stub(), rpc.method)
        call = method(rpc.request, timeout=timeout_s, metadata=self._metadata)
        try:
            # Awaiting the status rather than the call: the call raises CancelledError when close()
            # cancels it, which would look as if the caller's own task had been cancelled.
            status = await call.code()
            if status is grpc.StatusCode.OK:
                return await call
            raise self._mien_error(rpc, status, await call.details())
        finally:
            call.cancel()  # does nothing once the call has ended

    def stream_async(self, rpc: Rpc, *, timeout_s: float) -> AsyncMessageStream:
        """See `AsyncTransport.stream_async`."""
        self._check(rpc)
        method = getattr(self._open_stub(), rpc.method)
        call = method((rpc.request,), timeout=timeout_s, metadata=self._metadata)
        return AsyncGrpcMessageStream(call, partial(self._mien_error, rpc))

    def _check(self, rpc: Rpc) -> None:
        if self._is_closed:
            raise _closed_error(rpc)
        _check_size(rpc, self._limits)

    def _mien_error(self, rpc: Rpc, status: grpc.StatusCode, details: str | None) -> MienError:
        return error_from_status(
            status,
            details,
            address=self._address,
            model_name=rpc.model_name,
            request_id=rpc.request_id,
        )

    async def close_async(self) -> None:
        """See `AsyncTransport.close_async`."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.close(grace=None)

    def _open_stub(self) -> Any:
        # Here and not in the constructor: a channel belongs to the loop that runs when it is made.
        if self._channel is None:
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self._address, self._options)
            else:
                self._channel = grpc.aio.secure_channel(
                    self._address, self._credentials, self._options
                )
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self._stub


def _channel_options(tls: Tls | None, limits: MessageLimits) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", limits.send_bytes),
        ("grpc.max_receive_message_length", limits.receive_bytes),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", _INITIAL_RECONNECT_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_BACKOFF_MS),
    ]
    if tls is not None and tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    root_certificates, private_key, certificate_chain = tls.pem()
    return grpc.ssl_channel_credentials(root_certificates, private_key, certificate_chain)


def _check_size(rpc: Rpc, limits: MessageLimits) -> None:
    size_bytes = rpc.request.ByteSize()
    if size_bytes > limits.send_bytes:
        raise InvalidRequestError(
            f"the request is {size_bytes} bytes long; allowed are {limits.send_bytes}. Send "
            "smaller images, or raise limits=MessageLimits(send_bytes=...)",
            model_name=rpc.model_name,
            request_id=rpc.request_id,
        )


def _closed_error(rpc: Rpc) -> ClientClosedError:
    return ClientClosedError(
        "the client is closed; calls are allowed before close() and inside its with block. "
        "Make a new client",
        model_name=rpc.model_name,
        request_id=rpc.request_id,
    )
