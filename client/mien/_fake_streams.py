# SPDX-License-Identifier: Apache-2.0
"""Streams without a network: events that are given, as the messages they would have been."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from mien._avatar_requests import CREATE_AVATAR_OUTPUTS
from mien._errors import MienError
from mien._generated import (
    FacePreview,
    GeneratedFace,
    GenerationEvent,
    GenerationProgress,
    GenerationStarted,
    IdentityToken,
)
from mien._generation_events import GENERATE_OUTPUTS
from mien._requests import CREATE_AVATAR_MODEL, Rpc
from mien._tensors import wire_tensor

__all__ = ["PIXEL_PNG", "FakeMessageStream", "default_events"]

# The smallest PNG: one grey pixel.
PIXEL_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
)
_PIXELS = np.zeros((128, 128, 3), np.uint8)
_STEPS = 4  # of each face
_IS_FINAL = "triton_final_response"


class FakeMessageStream:
    """The messages of one request; fits both clients.

    Args:
        rpc: the request.
        script: events in order, or their outputs by name; an error among them is raised, and ends
            the stream.
        on_cancel: called where it is cancelled before it has ended.
    """

    def __init__(
        self,
        rpc: Rpc,
        script: Iterable[GenerationEvent | MienError | dict[str, Any]],
        on_cancel: Callable[[], None],
    ) -> None:
        self._messages = _messages(rpc, script)
        self._on_cancel = on_cancel
        self._has_ended = False

    def receive(self) -> Any:
        """See `MessageStream.receive`."""
        try:
            message = next(self._messages, None)
        except MienError:
            self._has_ended = True
            raise
        self._has_ended = message is None or message.infer_response.parameters[_IS_FINAL].bool_param
        return message

    async def receive_async(self) -> Any:
        """See `AsyncMessageStream.receive_async`."""
        return self.receive()

    def let_end(self) -> None:
        """See `MessageStream.let_end`."""

    async def let_end_async(self) -> None:
        """See `AsyncMessageStream.let_end_async`."""

    def cancel(self) -> None:
        """See `MessageStream.cancel`."""
        if not self._has_ended:
            self._has_ended = True
            self._on_cancel()


def default_events(rpc: Rpc, *, similarity: float, untrained: bool) -> Iterator[GenerationEvent]:
    """What a server would tell that makes the faces that `rpc` asks for, all alike, in order."""
    inputs = zip(rpc.request.inputs, rpc.request.raw_input_contents, strict=True)
    asked = {tensor.name: raw for tensor, raw in inputs}
    count = int.from_bytes(asked.get("count", b"\1"), "little")
    seed = int.from_bytes(asked.get("seed", b"\0"), "little")
    num_steps = count * _STEPS
    yield GenerationStarted(IdentityToken("fake"), num_steps, untrained, rpc.request_id or "")
    if asked["progress"] == b"\1":
        for steps_done in range(count, num_steps + 1, count):
            yield GenerationProgress(steps_done, num_steps)
    image = _PIXELS if asked["image_format"].endswith(b"raw") else PIXEL_PNG
    codes = np.zeros(236, np.float32)
    for index in range(count):
        face_seed = (seed + index) % 2**64
        yield GeneratedFace(index, face_seed, similarity, codes, image, untrained)


def _messages(
    rpc: Rpc, script: Iterable[GenerationEvent | MienError | dict[str, Any]]
) -> Iterator[Any]:
    for event in script:
        if isinstance(event, MienError):
            raise event
        yield _message(rpc, event if isinstance(event, dict) else _values(event))
    yield _message(rpc, {}, is_final=True)


def _message(rpc: Rpc, values: dict[str, Any], *, is_final: bool = False) -> Any:
    message = service_pb2.ModelStreamInferResponse()
    response = message.infer_response
    response.id, response.model_name = rpc.request_id, rpc.model_name
    response.parameters[_IS_FINAL].bool_param = is_final
    wanted = {output.name for output in rpc.request.outputs}
    is_avatar = rpc.model_name == CREATE_AVATAR_MODEL
    for spec in CREATE_AVATAR_OUTPUTS if is_avatar else GENERATE_OUTPUTS:
        if spec.name in values and spec.name in wanted:
            shape, raw = wire_tensor(spec, values[spec.name])
            response.outputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
            response.raw_output_contents.append(raw)
    return message


def _values(event: GenerationEvent) -> dict[str, Any]:
    """Outputs of an event."""
    if isinstance(event, GenerationStarted):
        return {
            "event": b"started",
            "identity_token": str(event.identity).encode(),
            "steps": event.num_steps,
            "untrained": event.untrained,
        }
    if isinstance(event, GenerationProgress):
        return {"event": b"progress", "steps_done": event.steps_done, "steps": event.num_steps}
    shown = {"image" if isinstance(event.image, bytes) else "pixels": event.image}
    if isinstance(event, FacePreview):
        steps = {"steps_done": event.steps_done, "steps": event.num_steps}
        return {"event": b"preview", "index": event.index, **steps, **shown}
    return {
        "event": b"face",
        "index": event.index,
        "seed": event.seed,
        "similarity": event.similarity,
        "codes": event.codes,
        "untrained": event.untrained,
        **shown,
    }
