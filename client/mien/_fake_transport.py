# SPDX-License-Identifier: Apache-2.0
"""A transport without a network, for the tests of applications that use mien."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from tritonclient.grpc import service_pb2

from mien._avatar_requests import CHANGED_AVATAR_OUTPUTS, TURNTABLE_OUTPUT
from mien._errors import ClientClosedError, InvalidOptionError, MienError, ModelNotFoundError
from mien._fake_avatars import avatar_values, changed_avatar_values, hairstyle_values
from mien._fake_streams import PIXEL_PNG, FakeMessageStream, default_events
from mien._generated import GenerationEvent
from mien._hairstyles import ENTRIES, PREVIEW
from mien._identity_requests import SAMPLE_IDENTITIES_OUTPUTS
from mien._requests import (
    APPLY_EMOTION_MODEL,
    CREATE_AVATAR_MODEL,
    EMBED_MODEL,
    EMBED_OUTPUTS,
    FIT_MODEL,
    FIT_OUTPUTS,
    HAIRSTYLES_MODEL,
    SAMPLE_IDENTITIES_MODEL,
    TRY_HAIRSTYLE_MODEL,
    VERIFY_MODEL,
    VERIFY_OUTPUTS,
    Rpc,
)
from mien._tensors import wire_tensor

__all__ = ["FakeTransport"]

_BOX_XYXY = (40.0, 30.0, 140.0, 160.0)
_LANDMARKS = ((70, 80), (110, 80), (90, 105), (73, 130), (107, 130))
# A tetrahedron stands for the head.
_VERTICES = ((0.0, 0.1, 0.0), (-0.08, -0.05, 0.0), (0.08, -0.05, 0.0), (0.0, 0.0, 0.1))
_VERTICES_PX = ((90, 40, 0), (40, 130, 0), (140, 130, 0), (90, 95, -60))

_OUTPUTS = {
    APPLY_EMOTION_MODEL: (*CHANGED_AVATAR_OUTPUTS, TURNTABLE_OUTPUT),
    TRY_HAIRSTYLE_MODEL: (*CHANGED_AVATAR_OUTPUTS, TURNTABLE_OUTPUT),
    HAIRSTYLES_MODEL: (ENTRIES, PREVIEW),
    EMBED_MODEL: EMBED_OUTPUTS,
    FIT_MODEL: FIT_OUTPUTS,
    SAMPLE_IDENTITIES_MODEL: SAMPLE_IDENTITIES_OUTPUTS,
    VERIFY_MODEL: VERIFY_OUTPUTS,
}


class FakeTransport:
    """Answers like a ready server that finds one face in every image; fits both clients.

    ::

        client = Client(transport=FakeTransport(similarity=0.8))
        assert client.verify(b"one", b"other").is_match

    Args:
        similarity: what `verify` answers and generated faces and avatars have, -1 to 1.
        threshold: what it is compared with.
        fmr: false match rate of that threshold; another that is asked for is taken for it. None is
            a server without calibration, which refuses to be asked.
        log10_likelihood_ratio: what `verify` says of the similarity; None is no calibration.
        embedding: (512,) what `embed` answers; None is the unit vector along the first axis.
        codes: (236,) what `fit`, with a tetrahedron for a head, and `avatar` answer; None is
            all zeros.
        untrained: what the server says of its weights.
        errors: raised instead of the first answers, one per RPC; `embed` may take two RPCs.
        streams: events that `generate` brings, one series per RPC; an error in a series is raised
            in its place and ends it. Without one, the faces that are asked for come, all alike.

    Attributes:
        rpcs: everything that was sent, oldest first.
        timeouts_s: the seconds that each was allowed.
        cancelled_rpcs: those of `generate` that were given up before they had ended.
    """

    def __init__(
        self,
        *,
        similarity: float = 1.0,
        threshold: float = 0.35,
        fmr: float | None = None,
        log10_likelihood_ratio: float | None = None,
        embedding: ArrayLike | None = None,
        codes: ArrayLike | None = None,
        untrained: bool = False,
        errors: Iterable[MienError] = (),
        streams: Iterable[Iterable[GenerationEvent | MienError]] = (),
    ) -> None:
        self.rpcs: list[Rpc] = []
        self.timeouts_s: list[float] = []
        self.cancelled_rpcs: list[Rpc] = []
        self._untrained = untrained
        self._errors = deque(errors)
        self._streams = deque(streams)
        self._is_closed = False
        self._values: dict[str, Any] = {
            "similarity": similarity,
            "threshold": threshold,
            "is_match": similarity >= threshold,
            "fmr": np.nan if fmr is None else fmr,
            "log10_likelihood_ratio": (
                np.nan if log10_likelihood_ratio is None else log10_likelihood_ratio
            ),
            "untrained": untrained,
            "embedding": [1.0] + [0.0] * 511 if embedding is None else embedding,
            "codes": 0.0 if codes is None else codes,
            "shape": 0.0 if codes is None else np.pad(np.asarray(codes)[..., :100], (0, 200)),
            "vertices": _VERTICES,
            "vertices_px": _VERTICES_PX,
            "landmarks_68": np.nan,
            "fitted_landmarks_68": _BOX_XYXY[:2],
            "overlay": PIXEL_PNG,
            "preview": PIXEL_PNG,
            "alignment": b"landmarks",
            "detection_score": 1.0,
            "face_count": 1,
        }
        for prefix in ("", "probe_", "reference_"):
            self._values[f"{prefix}box_xyxy"] = _BOX_XYXY
            self._values[f"{prefix}landmarks"] = _LANDMARKS

    def send(self, rpc: Rpc, *, timeout_s: float) -> Any:
        """See `Transport.send`."""
        self._record(rpc, timeout_s)
        if self._errors:
            raise self._errors.popleft()
        return self._answer(rpc)

    async def send_async(self, rpc: Rpc, *, timeout_s: float) -> Any:
        """See `AsyncTransport.send_async`."""
        return self.send(rpc, timeout_s=timeout_s)

    def stream(self, rpc: Rpc, *, timeout_s: float) -> FakeMessageStream:
        """See `Transport.stream`."""
        self._record(rpc, timeout_s)
        script: Iterable[GenerationEvent | MienError | dict[str, Any]]
        if self._errors:
            script = [self._errors.popleft()]
        elif rpc.model_name == CREATE_AVATAR_MODEL:
            script = avatar_values(_texts(rpc), common=self._values)
        elif self._streams:
            script = self._streams.popleft()
        else:
            similarity = self._values["similarity"]
            script = default_events(rpc, similarity=similarity, untrained=self._untrained)
        return FakeMessageStream(rpc, script, lambda: self.cancelled_rpcs.append(rpc))

    def stream_async(self, rpc: Rpc, *, timeout_s: float) -> FakeMessageStream:
        """See `AsyncTransport.stream_async`."""
        return self.stream(rpc, timeout_s=timeout_s)

    def close(self) -> None:
        """See `Transport.close`."""
        self._is_closed = True

    async def close_async(self) -> None:
        """See `AsyncTransport.close_async`."""
        self.close()

    def _record(self, rpc: Rpc, timeout_s: float) -> None:
        if self._is_closed:
            raise ClientClosedError("the client is closed. Make a new one")
        self.rpcs.append(rpc)
        self.timeouts_s.append(timeout_s)

    def _answer(self, rpc: Rpc) -> Any:
        if rpc.method == "ModelInfer":
            return self._inference(rpc)
        if rpc.method == "ModelConfig":
            return self._config()
        return {
            "ServerLive": service_pb2.ServerLiveResponse(live=True),
            "ServerReady": service_pb2.ServerReadyResponse(ready=True),
            "ModelReady": service_pb2.ModelReadyResponse(ready=True),
            "ServerMetadata": service_pb2.ServerMetadataResponse(name="fake", version="0"),
        }[rpc.method]

    def _config(self) -> Any:
        response = service_pb2.ModelConfigResponse()
        response.config.parameters["public"].string_value = "true"
        response.config.parameters["untrained"].string_value = str(self._untrained).lower()
        return response

    def _inference(self, rpc: Rpc) -> Any:
        outputs = _OUTPUTS.get(rpc.model_name or "")
        if outputs is None:
            raise ModelNotFoundError(
                f"the fake serves no {rpc.model_name!r}; it has {', '.join(_OUTPUTS)}",
                model_name=rpc.model_name,
            )
        values = self._values | self._asked(rpc)
        wanted = {output.name for output in rpc.request.outputs}
        response = service_pb2.ModelInferResponse(model_name=rpc.model_name, id=rpc.request_id)
        for spec in outputs:
            if spec.name in wanted:
                shape, raw = wire_tensor(spec, values[spec.name])
                response.outputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
                response.raw_output_contents.append(raw)
        return response

    def _asked(self, rpc: Rpc) -> dict[str, Any]:
        """The outputs that depend on what the request asks for."""
        inputs = zip(rpc.request.inputs, rpc.request.raw_input_contents, strict=True)
        asked = {tensor.name: raw for tensor, raw in inputs}
        if rpc.model_name == SAMPLE_IDENTITIES_MODEL:
            return _people(asked)
        if rpc.model_name in (APPLY_EMOTION_MODEL, TRY_HAIRSTYLE_MODEL):
            return changed_avatar_values(_texts(rpc), picture=PIXEL_PNG)
        if rpc.model_name == HAIRSTYLES_MODEL:
            return hairstyle_values(_texts(rpc))
        if "fmr" not in asked:
            return {}
        if np.isnan(self._values["fmr"]):
            raise InvalidOptionError(
                "the fake has no calibration. Leave fmr out, or make it with "
                "FakeTransport(fmr=...)",
                model_name=rpc.model_name,
                request_id=rpc.request_id,
                code="INVALID_OPTION",
            )
        return {"fmr": np.frombuffer(asked["fmr"], "<f4")}


def _texts(rpc: Rpc) -> dict[str, str]:
    """Inputs of one element as texts, without the length that stands before them."""
    inputs = zip(rpc.request.inputs, rpc.request.raw_input_contents, strict=True)
    return {
        tensor.name: (raw[4:] if tensor.datatype == "BYTES" else raw).decode("latin-1")
        for tensor, raw in inputs
    }


def _people(asked: dict[str, bytes]) -> dict[str, Any]:
    """The first candidates: all of them are different enough."""
    count = int.from_bytes(asked["count"], "little")
    first = int.from_bytes(asked.get("seed", b"\0"), "little")
    seeds = [(first + number) % 2**64 for number in range(count)]
    return {
        "identity_tokens": [f"fake-{seed}".encode() for seed in seeds],
        "seeds": np.array(seeds, np.uint64),
        "largest_similarity": np.zeros(count),
        "candidates": count,
    }
