# SPDX-License-Identifier: Apache-2.0
"""The servers that make a training set: what each is, whether it answers, and when to ask again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tritonclient.grpc import service_pb2

from mien._async_client import AsyncClient
from mien._config import Retry
from mien._errors import (
    ContractError,
    DataSetError,
    DeadlineExceededError,
    MienError,
    RequestCancelledError,
    ServerError,
    ServerUnavailableError,
)
from mien._requests import GENERATE_MODEL, Rpc, config_rpc, untrained_from_config
from mien._synthesis_folder import Generator
from mien._transport import AsyncTransport

__all__ = ["WORTH_ANOTHER_TRY", "Endpoint", "EndpointPool"]

# What another server, or this one later, may not answer with.
WORTH_ANOTHER_TRY = (ServerError, DeadlineExceededError, RequestCancelledError)
BACKOFF = Retry()
CONFIG_TIMEOUT_S = 10.0
# More would take longer to begin with, and longer to repeat after a failure.
MOST_IMAGES_PER_REQUEST = 16


class Endpoint:
    """One server.

    Args:
        address: host:port, for messages.
        transport: to it; closed by `close`.
        deadline_s: of each request.

    Attributes:
        most: images that one request may ask for; known once it was `ask`ed.
    """

    def __init__(self, address: str, transport: AsyncTransport, deadline_s: float) -> None:
        self.address = address
        # Whoever fails gives its work to the others at once, so no call repeats itself.
        self.client = AsyncClient(
            transport=transport, retry=Retry(max_retries=0), deadline_s=deadline_s
        )
        self.most = 1
        self.num_failures = 0
        self.failing_since_s: float | None = None
        self.last_error: MienError | None = None
        self._transport = transport
        self._num_accepted = 0

    async def ask(self) -> Generator:
        """What it makes images with.

        Raises:
            MienError: it does not say.
        """
        rpc = config_rpc(GENERATE_MODEL)
        response = await self._transport.send_async(rpc, timeout_s=CONFIG_TIMEOUT_S)
        parameters = {key: p.string_value for key, p in response.config.parameters.items()}
        try:
            digest = parameters["generator"]
            limits = [int(parameters[name]) for name in ("max_count", "max_faces_in_flight")]
        except (KeyError, ValueError):
            raise ContractError(
                f"{self.address}: {GENERATE_MODEL} does not state its parameters 'generator', "
                "'max_count' and 'max_faces_in_flight'; compare the versions of mien here and on "
                "the server",
                model_name=GENERATE_MODEL,
            ) from None
        untrained = untrained_from_config(rpc, response)
        question = Rpc("ServerMetadata", service_pb2.ServerMetadataRequest())
        server = await self._transport.send_async(question, timeout_s=CONFIG_TIMEOUT_S)
        self.most = max(1, min(MOST_IMAGES_PER_REQUEST, *limits))
        return Generator(digest, untrained, f"{server.name} {server.version}")

    @contextlib.contextmanager
    def working(self) -> Iterator[Callable[[], None]]:
        """One request; call what is given when the server has taken it."""
        num_accepted = 0

        def accepted() -> None:
            nonlocal num_accepted
            self._num_accepted, num_accepted = self._num_accepted + 1, num_accepted + 1
            self.num_failures, self.failing_since_s = 0, None

        try:
            yield accepted
        finally:
            self._num_accepted -= num_accepted

    def failed(self, error: MienError, now_s: float) -> None:
        """A request was refused, or has failed."""
        self.num_failures += 1
        self.last_error = error
        if self.failing_since_s is None and not self._num_accepted:
            self.failing_since_s = now_s

    async def close(self) -> None:
        """Cancel what is under way."""
        await self.client.close()


class EndpointPool:
    """All servers; they must have the same generator.

    Args:
        endpoints: one or more.
        patience_s: how long all of them may fail.
        generator: of the set; None where the first one that answers decides.
        begin: is called with that one's generator.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        patience_s: float,
        generator: Generator | None,
        begin: Callable[[Generator], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoints = endpoints
        self._patience_s = patience_s
        self._generator = generator
        self._begin = begin
        self._clock = clock
        self._known: set[Endpoint] = set()

    @property
    def generator(self) -> Generator:
        """Of the set, once an endpoint was met."""
        assert self._generator is not None
        return self._generator

    async def meet(self, endpoint: Endpoint) -> None:
        """Make sure that an endpoint has the generator of the set, as often as it may have changed.

        Raises:
            DataSetError: it has another one.
            MienError: it does not answer.
        """
        if endpoint in self._known:
            return
        found = await endpoint.ask()
        if self._generator is None:
            self._begin(found)
            self._generator = found
        self.check_digest(found.digest, endpoint)
        self._known.add(endpoint)

    def check_digest(self, digest: str | None, endpoint: Endpoint) -> None:
        """Make sure that images of an endpoint may be in the set.

        Raises:
            DataSetError: they may not.
        """
        if digest != self.generator.digest:
            raise DataSetError(
                f"{endpoint.address} makes images with the generator {digest}; those of the set "
                f"are by {self.generator.digest}, and a set has one generator. Serve that one, or "
                "begin another set in another folder"
            )

    async def pause(self, endpoint: Endpoint, error: MienError) -> None:
        """Wait before an endpoint that has failed is asked again.

        Raises:
            ServerUnavailableError: all of them have failed for too long.
        """
        if error.code != "OVERLOADED":  # the server may be another one when it comes back
            self._known.discard(endpoint)
        endpoint.failed(error, self._clock())
        self._check_patience()
        await asyncio.sleep(BACKOFF.backoff_s(endpoint.num_failures - 1, random.random()))

    def _check_patience(self) -> None:
        since_s = [endpoint.failing_since_s for endpoint in self.endpoints]
        failing = [since for since in since_s if since is not None]
        if len(failing) < len(since_s) or self._clock() - max(failing) < self._patience_s:
            return
        answers = "; ".join(f"{e.address}: {e.last_error}" for e in self.endpoints)
        raise ServerUnavailableError(
            f"no endpoint has taken a request for {self._patience_s:g} s ({answers}). Give the "
            "same command again once one does: shards that are complete stay"
        )
