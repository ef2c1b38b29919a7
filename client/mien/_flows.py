# SPDX-License-Identifier: Apache-2.0
"""What each method does, step by step, without doing it.

A flow is a generator: it yields `Send` and `Wait` steps and receives the answer, or the error, of
each. `Client` performs the steps blocking, `AsyncClient` awaiting them; order, retries and
deadlines exist once, here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from tritonclient.grpc import service_pb2

from mien._config import UNTRAINED_CACHE_S, Retry, checked_deadline_s
from mien._errors import DeadlineExceededError, ModelNotFoundError, ServerUnavailableError
from mien._fitted import FittedFace
from mien._generated import SampledIdentities
from mien._identity_requests import sampled_identities_from_response
from mien._requests import (
    EMBED_MODEL,
    PIPELINES,
    WITHOUT_WEIGHTS,
    Rpc,
    config_rpc,
    embed_rpc,
    embedding_from_response,
    fitted_face_from_response,
    ready_rpc,
    stamp_timeout,
    untrained_from_config,
    verification_from_response,
    verify_rpc,
)
from mien._types import Embedding, PipelineStatus, ServerStatus, Verification

__all__ = [
    "Budget",
    "Flow",
    "Send",
    "UntrainedCache",
    "Wait",
    "embed_flow",
    "fit_flow",
    "retried",
    "sample_identities_flow",
    "sent_once",
    "status_flow",
    "verify_flow",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this RPC and hand its answer back, within `timeout_s`."""

    rpc: Rpc
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long."""

    seconds: float


Flow: TypeAlias = Generator["Send | Wait", Any, T]


class Budget:
    """The time and the retries that one method call may spend.

    Args:
        deadline_s: from now, for everything.
        retry: how often and how patiently.
        clock: seconds that only move forward.
        jitter: uniform in [0, 1).
    """

    def __init__(
        self,
        deadline_s: float,
        retry: Retry,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._deadline_s = checked_deadline_s(deadline_s)
        self._retry = retry
        self._clock = clock
        self._jitter = jitter
        self._ends_at_s = clock() + deadline_s
        self._num_retries = 0

    def remaining_s(self, rpc: Rpc) -> float:
        """Seconds left for `rpc`.

        Raises:
            DeadlineExceededError: none.
        """
        remaining_s = self._ends_at_s - self._clock()
        if remaining_s <= 0:
            raise DeadlineExceededError(
                f"the deadline of {self._deadline_s} s passed before the request was sent; "
                "allow more with deadline_s",
                model_name=rpc.model_name,
                request_id=rpc.request_id,
            )
        return remaining_s

    def next_wait(self, error: ServerUnavailableError) -> Wait:
        """The pause before the next attempt.

        Raises:
            ServerUnavailableError: `error` itself, where no retry or no time is left.
        """
        backoff_s = self._retry.backoff_s(self._num_retries, self._jitter())
        no_time = self._clock() + backoff_s >= self._ends_at_s
        if self._num_retries >= self._retry.max_retries or no_time:
            raise error
        self._num_retries += 1
        return Wait(backoff_s)


class UntrainedCache:
    """Whether `embed_faces` has random weights, believed for a minute. Safe between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entry: tuple[bool, float] | None = None

    def get(self) -> bool | None:
        """The flag, or None where it is not known or too old."""
        with self._lock:
            if self._entry is None or self._clock() >= self._entry[1]:
                return None
            return self._entry[0]

    def put(self, untrained: bool) -> None:
        """Believe `untrained` from now on."""
        with self._lock:
            self._entry = (untrained, self._clock() + UNTRAINED_CACHE_S)

    def drop(self) -> None:
        """Believe nothing: after an error the server may be another one."""
        with self._lock:
            self._entry = None


def verify_flow(
    probe: bytes,
    reference: bytes,
    face_policy: str,
    fmr: float | None,
    budget: Budget,
    cache: UntrainedCache,
) -> Flow[Verification]:
    """Compare two encoded images."""
    rpc = verify_rpc(probe, reference, face_policy, fmr)
    response = yield from retried(rpc, budget, cache)
    return verification_from_response(rpc, response)


def embed_flow(
    image: bytes, face_policy: str, budget: Budget, cache: UntrainedCache
) -> Flow[Embedding]:
    """Embed one encoded image, and learn whether its weights are trained."""
    rpc = embed_rpc(image, face_policy)
    untrained = yield from _untrained(budget, cache)
    response = yield from retried(rpc, budget, cache)
    # Free unless a retry dropped the flag, and then the server may have come back with others.
    untrained |= yield from _untrained(budget, cache)
    return embedding_from_response(rpc, response, untrained=untrained)


def fit_flow(rpc: Rpc, budget: Budget, cache: UntrainedCache) -> Flow[FittedFace]:
    """Fit a head to one encoded image."""
    return fitted_face_from_response(rpc, (yield from retried(rpc, budget, cache)))


def sample_identities_flow(
    rpc: Rpc, budget: Budget, cache: UntrainedCache
) -> Flow[SampledIdentities]:
    """Find people who do not exist."""
    return sampled_identities_from_response(rpc, (yield from retried(rpc, budget, cache)))


def status_flow(budget: Budget, cache: UntrainedCache) -> Flow[ServerStatus]:
    """Ask the server how it is, and about every public pipeline."""

    def ask(method: str, request: Any) -> Flow[Any]:
        return retried(Rpc(method, request), budget, cache)

    live = yield from ask("ServerLive", service_pb2.ServerLiveRequest())
    ready = yield from ask("ServerReady", service_pb2.ServerReadyRequest())
    metadata = yield from ask("ServerMetadata", service_pb2.ServerMetadataRequest())
    pipelines: list[PipelineStatus] = []
    for name in PIPELINES:
        pipelines.append((yield from _pipeline_status(name, budget, cache)))
    return ServerStatus(live.live, ready.ready, metadata.name, metadata.version, tuple(pipelines))


def retried(rpc: Rpc, budget: Budget, cache: UntrainedCache) -> Flow[Any]:
    """Send until answered. For calls that are pure: asking an unavailable server again is safe."""
    while True:
        timeout_s = budget.remaining_s(rpc)
        stamp_timeout(rpc, timeout_s)
        try:
            return (yield Send(rpc, timeout_s))
        except ServerUnavailableError as error:
            cache.drop()
            wait = budget.next_wait(error)
        yield wait


def sent_once(rpc: Rpc, budget: Budget) -> Flow[Any]:
    """Send a call that changes something: whether it was lost before or after that is not known."""
    timeout_s = budget.remaining_s(rpc)
    stamp_timeout(rpc, timeout_s)
    return (yield Send(rpc, timeout_s))


def _untrained(budget: Budget, cache: UntrainedCache) -> Flow[bool]:
    known = cache.get()
    if known is not None:
        return known
    rpc = config_rpc(EMBED_MODEL)
    untrained = untrained_from_config(rpc, (yield from retried(rpc, budget, cache)))
    cache.put(untrained)
    return untrained


def _pipeline_status(name: str, budget: Budget, cache: UntrainedCache) -> Flow[PipelineStatus]:
    try:
        answer = yield from retried(ready_rpc(name), budget, cache)
    except ModelNotFoundError:  # the server was built without it
        return PipelineStatus(name, ready=False)
    if not answer.ready:
        return PipelineStatus(name, ready=False)
    if name in WITHOUT_WEIGHTS:
        return PipelineStatus(name, ready=True, untrained=False)
    rpc = config_rpc(name)
    untrained = untrained_from_config(rpc, (yield from retried(rpc, budget, cache)))
    return PipelineStatus(name, ready=True, untrained=untrained)
