# SPDX-License-Identifier: Apache-2.0
"""A Triton without models: the real gRPC service on a free loopback port, with scripted answers.

It knows the wire, not the client: tensors are packed here with `struct`, from the names in
config.pbtxt, so that a client that packs wrongly cannot agree with itself.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

__all__ = [
    "FakeTriton",
    "Hang",
    "RecordedCall",
    "Refusal",
    "Reply",
    "Stream",
    "Tensor",
    "bytes_elements",
    "generation_event",
]

_HANG_LIMIT_S = 30.0  # a test that never ends its call ends here


@dataclass(frozen=True)
class Tensor:
    """One output as it goes on the wire."""

    datatype: str
    shape: tuple[int, ...]
    raw: bytes


def fp32(*values: float, shape: tuple[int, ...]) -> Tensor:
    return Tensor("FP32", shape, struct.pack(f"<{len(values)}f", *values))


def int32(value: int) -> Tensor:
    return Tensor("INT32", (1, 1), struct.pack("<i", value))


def boolean(value: bool) -> Tensor:
    return Tensor("BOOL", (1, 1), struct.pack("?", value))


def text(value: bytes) -> Tensor:
    return Tensor("BYTES", (1, 1), struct.pack("<I", len(value)) + value)


def bytes_elements(raw: bytes) -> list[bytes]:
    """The elements of a BYTES tensor; anything left over is an error."""
    elements = []
    while raw:
        (length,) = struct.unpack_from("<I", raw)
        element, raw = raw[4 : 4 + length], raw[4 + length :]
        assert len(element) == length
        elements.append(element)
    return elements


def unbatched_text(*values: bytes) -> Tensor:
    raw = b"".join(struct.pack("<I", len(value)) + value for value in values)
    return Tensor("BYTES", (len(values),), raw)


def unbatched(datatype: str, code: str, *values: Any) -> Tensor:
    return Tensor(datatype, (len(values),), struct.pack(f"<{len(values)}{code}", *values))


_LANDMARKS = fp32(*map(float, range(10)), shape=(1, 5, 2))
_DEFAULT_OUTPUTS: dict[str, dict[str, Tensor]] = {
    "verify_faces": {
        "similarity": fp32(0.75, shape=(1, 1)),
        "threshold": fp32(0.5, shape=(1, 1)),
        "fmr": fp32(float("nan"), shape=(1, 1)),
        "log10_likelihood_ratio": fp32(float("nan"), shape=(1, 1)),
        "is_match": boolean(True),
        "probe_box_xyxy": fp32(10, 20, 110, 140, shape=(1, 4)),
        "reference_box_xyxy": fp32(1, 2, 51, 62, shape=(1, 4)),
        "probe_landmarks": _LANDMARKS,
        "reference_landmarks": _LANDMARKS,
        "untrained": boolean(False),
        "error": text(b""),
    },
    "fit_faces": {
        "codes": fp32(*map(float, range(236)), shape=(1, 236)),
        "shape": fp32(*map(float, range(300)), shape=(1, 300)),
        "vertices": fp32(*map(float, range(12)), shape=(1, 4, 3)),
        "vertices_px": fp32(*map(float, range(100, 112)), shape=(1, 4, 3)),
        "landmarks": _LANDMARKS,
        "landmarks_68": fp32(*[10.0] * 136, shape=(1, 68, 2)),
        "fitted_landmarks_68": fp32(*[13.0, 14.0] * 68, shape=(1, 68, 2)),
        "box_xyxy": fp32(10, 20, 110, 140, shape=(1, 4)),
        "face_count": int32(2),
        "overlay": text(b"\x89PNG and so on"),
        "untrained": boolean(False),
        "error": text(b""),
    },
    "embed_faces": {
        "embedding": fp32(*([0.0] * 511), 1.0, shape=(1, 512)),
        "box_xyxy": fp32(10, 20, 110, 140, shape=(1, 4)),
        "landmarks": _LANDMARKS,
        "alignment": text(b"eyes"),
        "detection_score": fp32(0.875, shape=(1, 1)),
        "face_count": int32(2),
        "error": text(b""),
    },
    "sample_identities": {
        "identity_tokens": unbatched_text(b"ann", b"bob"),
        "seeds": unbatched("UINT64", "Q", 7, 2**64 - 1),
        "largest_similarity": unbatched("FP32", "f", 0.25, 0.125),
        "candidates": unbatched("INT32", "i", 5),
        "untrained": unbatched("BOOL", "?", False),
    },
}


@dataclass(frozen=True)
class Reply:
    """Answer, with some outputs replaced, or the whole message changed at the end."""

    outputs: dict[str, Tensor] = field(default_factory=dict)
    edit: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Refusal:
    """Fail with a gRPC status."""

    status: grpc.StatusCode
    details: str = ""


@dataclass(frozen=True)
class Hang:
    """Answer never: wait until the caller has gone."""


@dataclass(frozen=True)
class Stream:
    """Answer a streamed request: with events, in order, and the message that says it was the last.

    Attributes:
        script: outputs of an event; words that refuse in place of one; seconds to wait; a Hang; or
            a Refusal, which ends the RPC with its status.
        is_complete: whether the last message comes.
        lingers_s: between the last message and the end of the stream.
        edit: changes every message before it is sent.
    """

    script: tuple[dict[str, Tensor] | str | float | Hang | Refusal, ...]
    is_complete: bool = True
    lingers_s: float = 0.0
    edit: Callable[[Any], None] | None = None


def generation_event(kind: str, **outputs: Tensor) -> dict[str, Tensor]:
    """An event of `generate_faces`, well made but for what `outputs` replaces."""
    return {"event": unbatched_text(kind.encode()), **_EVENTS[kind], **outputs}


PNG = b"\x89PNG of a face"
_INDEX, _UNTRAINED = unbatched("INT32", "i", 0), unbatched("BOOL", "?", False)
_SHOWN = {
    "image": unbatched_text(PNG),
    "pixels": Tensor("UINT8", (128, 128, 3), bytes(range(256)) * 192),
}
_EVENTS: dict[str, dict[str, Tensor]] = {
    "started": {
        "identity_token": unbatched_text(b"sealed"),
        "steps": unbatched("INT32", "i", 4),
        "untrained": _UNTRAINED,
    },
    "progress": {
        "steps_done": unbatched("INT32", "i", 1),
        "steps": unbatched("INT32", "i", 4),
    },
    "preview": {
        "index": _INDEX,
        "steps_done": unbatched("INT32", "i", 2),
        "steps": unbatched("INT32", "i", 4),
        **_SHOWN,
    },
    "face": {
        "index": _INDEX,
        "seed": unbatched("UINT64", "Q", 2**64 - 1),
        "similarity": unbatched("FP32", "f", 0.75),
        "codes": Tensor("FP32", (236,), struct.pack("<236f", *range(236))),
        "untrained": _UNTRAINED,
        **_SHOWN,
    },
}
_DEFAULT_STREAM = Stream((generation_event("started"), generation_event("face")))


@dataclass
class RecordedCall:
    """One RPC that arrived."""

    method: str
    model_name: str
    request: Any
    metadata: dict[str, Any]
    time_remaining_s: float
    # Set when a Hang, or a Stream before its end, sees its caller go: cancelled, or by deadline.
    cancelled: threading.Event = field(default_factory=threading.Event)


class FakeTriton:
    """The server; use it in a with block.

    `script` queues behaviours for a model's inferences, or for another method of the service under
    the method's name. Without a script everything answers well.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.calls: list[RecordedCall] = []
        self.received = threading.Event()
        self.live = True
        self.ready = True
        self.unready: set[str] = set()
        self.parameters = {
            "embed_faces": {"public": "true", "untrained": "false"},
            "fit_faces": {"public": "true", "untrained": "false"},
            "generate_faces": {"public": "true", "untrained": "false"},
            "verify_faces": {"public": "true", "untrained": "false"},
        }
        self.outputs = dict(_DEFAULT_OUTPUTS)
        self.streams: dict[str, Stream] = {}
        self._scripts: defaultdict[str, deque[Reply | Refusal | Hang | Stream]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=12),
            options=[("grpc.max_receive_message_length", -1)],  # as Triton: no limit
        )
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(self), self._server)
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> FakeTriton:
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop(grace=None).wait()

    def script(self, subject: str, *behaviours: Reply | Refusal | Hang | Stream) -> None:
        """Queue behaviours for a model name or a method name; each is used once."""
        self._scripts[subject].extend(behaviours)

    def calls_of(self, method: str) -> list[RecordedCall]:
        with self._lock:
            return [call for call in self.calls if call.method == method]

    def behave(
        self, method: str, model_name: str, request: Any, context: grpc.ServicerContext
    ) -> Reply:
        """Record a call and do what the script says, up to the answer itself."""
        _, behaviour = self.begin(method, model_name, request, context)
        return behaviour or Reply()

    def begin(
        self, method: str, model_name: str, request: Any, context: grpc.ServicerContext
    ) -> tuple[RecordedCall, Any]:
        """Record a call; refuse or hang, or else return what the script says."""
        metadata = {item.key: item.value for item in context.invocation_metadata()}
        call = RecordedCall(method, model_name, request, metadata, context.time_remaining())
        with self._lock:
            self.calls.append(call)
            script = self._scripts[model_name if method.endswith("Infer") else method]
            behaviour = script.popleft() if script else None
        self.received.set()
        if isinstance(behaviour, Refusal):
            context.abort(behaviour.status, behaviour.details)
        if isinstance(behaviour, Hang):
            self.hang(call, context)
        return call, behaviour

    @staticmethod
    def hang(call: RecordedCall, context: grpc.ServicerContext) -> None:
        gone = threading.Event()
        if not context.add_callback(gone.set) or gone.wait(_HANG_LIMIT_S):
            call.cancelled.set()
        context.abort(grpc.StatusCode.ABORTED, "nobody was left to answer")


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, triton: FakeTriton) -> None:
        self._triton = triton

    def ModelInfer(self, request, context):
        reply = self._triton.behave("ModelInfer", request.model_name, request, context)
        if request.model_name not in self._triton.outputs:
            details = f"Request for unknown model: '{request.model_name}' is not found"
            context.abort(grpc.StatusCode.NOT_FOUND, details)
        outputs = self._triton.outputs[request.model_name] | reply.outputs
        response = service_pb2.ModelInferResponse(
            model_name=request.model_name, model_version="1", id=request.id
        )
        # Triton answers in the order of the model's configuration, not of the request.
        asked = {output.name for output in request.outputs} or set(outputs)
        for name, tensor in outputs.items():
            if name in asked:
                response.outputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
                response.raw_output_contents.append(tensor.raw)
        return _edited(response, reply)

    def ModelStreamInfer(self, request_iterator, context):
        request = next(request_iterator)
        call, stream = self._triton.begin("ModelStreamInfer", request.model_name, request, context)
        stream = stream or self._triton.streams.get(request.model_name, _DEFAULT_STREAM)
        wants_final = request.parameters["triton_enable_empty_final_response"].bool_param
        asked = {output.name for output in request.outputs}
        ended = threading.Event()
        context.add_callback(lambda: ended.is_set() or call.cancelled.set())
        for step in stream.script:
            if isinstance(step, float):
                time.sleep(step)
            elif isinstance(step, Refusal):
                context.abort(step.status, step.details)
            elif isinstance(step, Hang):
                self._triton.hang(call, context)
            elif isinstance(step, str):
                yield _stream_message(request, error_message=step)
            else:
                outputs = {name: tensor for name, tensor in step.items() if name in asked}
                yield _edited(_stream_message(request, outputs), stream)
        is_refused = bool(stream.script) and isinstance(stream.script[-1], str)
        if stream.is_complete and wants_final and not is_refused:  # a refusal is final itself
            yield _stream_message(request, is_final=True)
        time.sleep(stream.lingers_s)
        ended.set()

    def ModelConfig(self, request, context):
        reply = self._triton.behave("ModelConfig", request.name, request, context)
        if request.name not in self._triton.parameters:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model '{request.name}'")
        response = service_pb2.ModelConfigResponse()
        response.config.name = request.name
        for key, value in self._triton.parameters[request.name].items():
            response.config.parameters[key].string_value = value
        return _edited(response, reply)

    def ServerLive(self, request, context):
        reply = self._triton.behave("ServerLive", "", request, context)
        return _edited(service_pb2.ServerLiveResponse(live=self._triton.live), reply)

    def ServerReady(self, request, context):
        reply = self._triton.behave("ServerReady", "", request, context)
        return _edited(service_pb2.ServerReadyResponse(ready=self._triton.ready), reply)

    def ServerMetadata(self, request, context):
        reply = self._triton.behave("ServerMetadata", "", request, context)
        return _edited(service_pb2.ServerMetadataResponse(name="triton", version="2.51.0"), reply)

    def ModelReady(self, request, context):
        reply = self._triton.behave("ModelReady", request.name, request, context)
        known = request.name in self._triton.parameters
        ready = known and request.name not in self._triton.unready
        return _edited(service_pb2.ModelReadyResponse(ready=ready), reply)


def _stream_message(request, outputs=(), *, error_message="", is_final=False):
    message = service_pb2.ModelStreamInferResponse(error_message=error_message)
    response = message.infer_response
    response.id = request.id
    response.parameters["triton_final_response"].bool_param = is_final
    for name in outputs:
        tensor = outputs[name]
        response.outputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(tensor.raw)
    return message


def _edited(response, reply):
    if reply.edit is not None:
        reply.edit(response)
    return response
