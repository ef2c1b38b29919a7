# SPDX-License-Identifier: Apache-2.0
"""What `generate` does, step by step, as in `_flows`; some steps hand events to the caller."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from mien._errors import ContractError, MienError, ServerUnavailableError
from mien._event_messages import Message
from mien._flows import Budget, UntrainedCache, Wait
from mien._generated import GeneratedFace, GenerationEvent
from mien._generation_events import read_message
from mien._generation_requests import GenerationOrder, generate_rpc
from mien._images import ImageInput
from mien._requests import Rpc, stamp_timeout

__all__ = [
    "Emit",
    "Encode",
    "EventFlow",
    "LetEnd",
    "Open",
    "Receive",
    "first_message",
    "generate_flow",
    "received",
]

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Encode:
    """Hand back the encoded bytes of an image; `what` is its argument's name."""

    image: ImageInput
    what: str


@dataclass(frozen=True, slots=True)
class Open:
    """Send this RPC, whose answer is a stream of messages, in place of any before."""

    rpc: Rpc
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Receive:
    """Hand back the next message of the stream, or None at its end."""


@dataclass(frozen=True, slots=True)
class LetEnd:
    """Wait a moment for the stream to end."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Give this event to the caller: a `GenerationEvent`, or of another pipeline its own."""

    event: Any


EventFlow: TypeAlias = Generator["Encode | Open | Receive | LetEnd | Wait | Emit", Any, None]
EventSteps: TypeAlias = Generator["Open | Receive | LetEnd | Wait", Any, Message[E]]
Read: TypeAlias = Callable[[Any], Message[E]]


def generate_flow(order: GenerationOrder, budget: Budget, cache: UntrainedCache) -> EventFlow:
    """Generate faces."""
    images = {}
    for name, (image, what) in order.images.items():
        images[name] = yield Encode(image, what)
    rpc = generate_rpc(order, images)

    def read(message: Any) -> Message[GenerationEvent]:
        return read_message(rpc, message, order.image_format)

    num_faces = 0
    try:
        message = yield from first_message(rpc, budget, read)
        while True:
            if message.event is not None:
                num_faces += isinstance(message.event, GeneratedFace)
                yield Emit(message.event)
            if message.is_final:
                break
            message = yield from received(read)
        _check_complete(rpc, num_faces, order.count)
    except MienError:
        cache.drop()  # the server may be another one by now
        raise


def first_message(rpc: Rpc, budget: Budget, read: Read[E]) -> EventSteps[E]:
    """Send until a message comes; once one has, work is being done, and nothing is repeated."""
    while True:
        timeout_s = budget.remaining_s(rpc)
        stamp_timeout(rpc, timeout_s)
        try:
            yield Open(rpc, timeout_s)
            return (yield from received(read))
        except ServerUnavailableError as error:
            wait = budget.next_wait(error)
        yield wait


def received(read: Read[E]) -> EventSteps[E]:
    """The next message; after the last one, or a refusal, also the end of the stream.

    Triton never lets go of a request that is cancelled in that very moment, and then cannot unload
    the model (its pull request 8078).
    """
    response = yield Receive()
    if response is not None and response.error_message:
        yield LetEnd()
    message = read(response)
    if message.is_final:
        yield LetEnd()
    return message


def _check_complete(rpc: Rpc, num_faces: int, count: int) -> None:
    if num_faces != count:
        raise ContractError(
            f"the stream is complete, but {num_faces} faces came; {count} were asked for. Compare "
            "the versions of mien here and on the server",
            model_name=rpc.model_name,
            request_id=rpc.request_id,
        )
