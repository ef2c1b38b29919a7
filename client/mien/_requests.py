# SPDX-License-Identifier: Apache-2.0
"""Arguments -> RPCs, answers -> results. No input, no output, no clock: both clients share it.

The tensor tables repeat what `model_repository/*/config.pbtxt` says of the outputs used here; a
test compares the two.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from tritonclient.grpc import service_pb2

from mien._errors import ContractError, InvalidOptionError, MienError
from mien._fitted import FittedFace
from mien._tensors import (
    Array,
    TensorSpec,
    arrays_from_response,
    wire_tensor,
)
from mien._types import Embedding, Face, Verification

__all__ = [
    "FacePolicy",
    "Rpc",
    "ShapeSource",
    "answered_tensors",
    "config_rpc",
    "embed_rpc",
    "embedding_from_response",
    "fit_rpc",
    "fitted_face_from_response",
    "infer_rpc",
    "ready_rpc",
    "stamp_timeout",
    "untrained_from_config",
    "verification_from_response",
    "verify_rpc",
]

FacePolicy: TypeAlias = Literal["largest", "single"]
ShapeSource: TypeAlias = Literal["deca", "mica", "mean"]

VERIFY_MODEL = "verify_faces"
EMBED_MODEL = "embed_faces"
FIT_MODEL = "fit_faces"
GENERATE_MODEL = "generate_faces"  # its tensors are in `_generation_requests`
SAMPLE_IDENTITIES_MODEL = "sample_identities"  # its tensors are in `_identity_requests`
CREATE_AVATAR_MODEL = "create_avatar"  # the tensors of these are in `_avatar_requests`
APPLY_EMOTION_MODEL = "apply_emotion"
TRY_HAIRSTYLE_MODEL = "try_hairstyle"
HAIRSTYLES_MODEL = "hairstyles"  # its tensors are in `_hairstyles`
# All that are public: those without a method here can be called by any client of Triton's.
PIPELINES = (
    APPLY_EMOTION_MODEL,
    CREATE_AVATAR_MODEL,
    EMBED_MODEL,
    "encode_styles",
    FIT_MODEL,
    GENERATE_MODEL,
    HAIRSTYLES_MODEL,
    SAMPLE_IDENTITIES_MODEL,
    "sample_styles",
    TRY_HAIRSTYLE_MODEL,
    VERIFY_MODEL,
)
WITHOUT_WEIGHTS = (HAIRSTYLES_MODEL,)  # a collection: nothing about it could be untrained

FACE_POLICY = TensorSpec("face_policy", "BYTES", (1,))
VERIFY_INPUTS = (
    TensorSpec("probe_image", "BYTES", (1,)),
    TensorSpec("reference_image", "BYTES", (1,)),
    FACE_POLICY,
    TensorSpec("fmr", "FP32", (1,)),
)
VERIFY_OUTPUTS = (
    TensorSpec("similarity", "FP32", (1,)),
    TensorSpec("threshold", "FP32", (1,)),
    TensorSpec("fmr", "FP32", (1,)),
    TensorSpec("log10_likelihood_ratio", "FP32", (1,)),
    TensorSpec("is_match", "BOOL", (1,)),
    TensorSpec("probe_box_xyxy", "FP32", (4,)),
    TensorSpec("reference_box_xyxy", "FP32", (4,)),
    TensorSpec("probe_landmarks", "FP32", (5, 2)),
    TensorSpec("reference_landmarks", "FP32", (5, 2)),
    TensorSpec("untrained", "BOOL", (1,)),
)
EMBED_INPUTS = (TensorSpec("image", "BYTES", (1,)), FACE_POLICY)
EMBED_OUTPUTS = (
    TensorSpec("embedding", "FP32", (512,)),
    TensorSpec("box_xyxy", "FP32", (4,)),
    TensorSpec("landmarks", "FP32", (5, 2)),
    TensorSpec("alignment", "BYTES", (1,)),
    TensorSpec("detection_score", "FP32", (1,)),
    TensorSpec("face_count", "INT32", (1,)),
)
FIT_INPUTS = (*EMBED_INPUTS, TensorSpec("shape_source", "BYTES", (1,)))
OVERLAY = TensorSpec("overlay", "BYTES", (1,))  # asked for only where it is wanted
FIT_OUTPUTS = (
    TensorSpec("codes", "FP32", (236,)),
    TensorSpec("shape", "FP32", (300,)),
    TensorSpec("vertices", "FP32", (-1, 3)),
    TensorSpec("vertices_px", "FP32", (-1, 3)),
    TensorSpec("landmarks", "FP32", (5, 2)),
    TensorSpec("landmarks_68", "FP32", (68, 2)),
    TensorSpec("fitted_landmarks_68", "FP32", (68, 2)),
    TensorSpec("box_xyxy", "FP32", (4,)),
    TensorSpec("face_count", "INT32", (1,)),
    OVERLAY,
    TensorSpec("untrained", "BOOL", (1,)),
)

_MICROSECONDS_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Rpc:
    """One call of Triton's gRPC service.

    Attributes:
        method: its name in the service, such as ``ModelInfer``.
        request: the message of that method.
        model_name: the model it is about, None where it is about the server.
        request_id: also set on the request; None where the method has none.
    """

    method: str
    request: Any = field(repr=False)  # images do not belong in logs
    model_name: str | None = None
    request_id: str | None = None


def verify_rpc(probe: bytes, reference: bytes, face_policy: str, fmr: float | None) -> Rpc:
    """The inference that compares two encoded images."""
    values = (probe, reference, _checked_policy(face_policy), _checked_fmr(fmr))
    return infer_rpc(VERIFY_MODEL, VERIFY_INPUTS, values, VERIFY_OUTPUTS)


def embed_rpc(image: bytes, face_policy: str) -> Rpc:
    """The inference that embeds one encoded image."""
    values = (image, _checked_policy(face_policy))
    return infer_rpc(EMBED_MODEL, EMBED_INPUTS, values, EMBED_OUTPUTS)


def fit_rpc(image: bytes, face_policy: str, shape_source: str | None, *, overlay: bool) -> Rpc:
    """The inference that fits a head to one encoded image."""
    values = (image, _checked_policy(face_policy), _checked_source(shape_source))
    return infer_rpc(FIT_MODEL, FIT_INPUTS, values, _fit_outputs(overlay=overlay))


def infer_rpc(
    model_name: str,
    inputs: Sequence[TensorSpec],
    values: Sequence[Any],
    outputs: Sequence[TensorSpec],
    *,
    method: str = "ModelInfer",
) -> Rpc:
    """An inference.

    Args:
        model_name: what to call.
        inputs: those it takes.
        values: one for each of `inputs`; those whose value is None are left out.
        outputs: those to answer with.
        method: of Triton's service.
    """
    request_id = uuid.uuid4().hex
    request = service_pb2.ModelInferRequest(model_name=model_name, id=request_id)
    for spec, value in zip(inputs, values, strict=True):
        if value is None:
            continue
        shape, raw = wire_tensor(spec, value)
        request.inputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
        request.raw_input_contents.append(raw)
    for spec in outputs:
        request.outputs.add(name=spec.name)
    return Rpc(method, request, model_name=model_name, request_id=request_id)


def config_rpc(model_name: str) -> Rpc:
    """The question for a model's configuration."""
    request = service_pb2.ModelConfigRequest(name=model_name)
    return Rpc("ModelConfig", request, model_name=model_name)


def stamp_timeout(rpc: Rpc, remaining_s: float) -> None:
    """Tell Triton how long the answer is wanted, for queues whose policy honours it."""
    if rpc.method in ("ModelInfer", "ModelStreamInfer"):
        microseconds = max(1, int(remaining_s * _MICROSECONDS_PER_S))
        rpc.request.parameters["timeout"].int64_param = microseconds


def verification_from_response(rpc: Rpc, response: Any) -> Verification:
    """Read the answer to `verify_rpc`.

    Raises:
        ContractError: it is no such answer.
    """
    finite = ("similarity", "threshold", "probe_box_xyxy", "reference_box_xyxy")
    tensors = answered_tensors(rpc, response, VERIFY_OUTPUTS, finite=finite)
    return Verification(
        similarity=float(tensors["similarity"][0]),
        threshold=float(tensors["threshold"][0]),
        fmr=_known(tensors["fmr"]),
        log10_likelihood_ratio=_known(tensors["log10_likelihood_ratio"]),
        is_match=bool(tensors["is_match"][0]),
        probe=_face(tensors, prefix="probe_"),
        reference=_face(tensors, prefix="reference_"),
        untrained=bool(tensors["untrained"][0]),
        request_id=rpc.request_id or "",
    )


def embedding_from_response(rpc: Rpc, response: Any, *, untrained: bool) -> Embedding:
    """Read the answer to `embed_rpc`.

    Args:
        rpc: what was asked.
        response: ModelInferResponse.
        untrained: what the model's configuration says; an ensemble cannot output it.

    Raises:
        ContractError: it is no such answer.
    """
    tensors = answered_tensors(rpc, response, EMBED_OUTPUTS, finite=("embedding", "box_xyxy"))
    face = _face(
        tensors,
        alignment=tensors["alignment"][0].decode("utf-8", errors="replace"),
        detection_score=float(tensors["detection_score"][0]),
        face_count=int(tensors["face_count"][0]),
    )
    return Embedding(
        vector=tensors["embedding"],
        face=face,
        untrained=untrained,
        request_id=rpc.request_id or "",
    )


def fitted_face_from_response(rpc: Rpc, response: Any) -> FittedFace:
    """Read the answer to `fit_rpc`.

    Raises:
        ContractError: it is no such answer.
    """
    overlay = OVERLAY.name in {output.name for output in rpc.request.outputs}
    finite = ("codes", "shape", "vertices", "vertices_px", "fitted_landmarks_68", "box_xyxy")
    tensors = answered_tensors(rpc, response, _fit_outputs(overlay=overlay), finite=finite)
    return FittedFace(
        codes=tensors["codes"],
        shape=tensors["shape"],
        vertices=tensors["vertices"],
        vertices_px=tensors["vertices_px"],
        face=_face(tensors, face_count=int(tensors["face_count"][0])),
        landmarks_68=tensors["landmarks_68"],
        fitted_landmarks_68=tensors["fitted_landmarks_68"],
        overlay=tensors["overlay"][0] if overlay else None,
        untrained=bool(tensors["untrained"][0]),
        request_id=rpc.request_id or "",
    )


def untrained_from_config(rpc: Rpc, response: Any) -> bool:
    """Whether random weights are behind a model, from its configuration.

    Raises:
        ContractError: its parameter ``untrained`` is missing or neither "true" nor "false".
    """
    untrained = _flag(response, "untrained")
    if untrained is None:
        raise ContractError(
            f'{rpc.model_name} has no parameter \'untrained\' that is "true" or "false"; every '
            "pipeline must say it. Build the repository again with mien-export",
            model_name=rpc.model_name,
        )
    return untrained


def ready_rpc(model_name: str) -> Rpc:
    """The question whether a model takes requests."""
    request = service_pb2.ModelReadyRequest(name=model_name)
    return Rpc("ModelReady", request, model_name=model_name)


def _fit_outputs(*, overlay: bool) -> tuple[TensorSpec, ...]:
    return tuple(spec for spec in FIT_OUTPUTS if overlay or spec is not OVERLAY)


def _checked_policy(face_policy: str) -> bytes:
    allowed = get_args(FacePolicy)
    if face_policy not in allowed:
        raise InvalidOptionError(
            f"face_policy is {face_policy!r}; allowed are {', '.join(map(repr, allowed))}. "
            "'largest' takes the largest face, 'single' refuses images with several",
            code="INVALID_OPTION",
        )
    return face_policy.encode()


def _checked_source(shape_source: str | None) -> bytes | None:
    allowed = get_args(ShapeSource)
    if shape_source is not None and shape_source not in allowed:
        raise InvalidOptionError(
            f"shape_source is {shape_source!r}; allowed are {', '.join(map(repr, allowed))}. Leave "
            "it out for the best that the server has",
            code="INVALID_OPTION",
        )
    return None if shape_source is None else shape_source.encode()


def _checked_fmr(fmr: float | None) -> float | None:
    if fmr is not None and not 0 < fmr < 1:
        raise InvalidOptionError(
            f"fmr is {fmr!r}; a false match rate lies between 0 and 1, such as 1e-3. Leave it out "
            "for the server's default",
            code="INVALID_OPTION",
        )
    return fmr


def answered_tensors(
    rpc: Rpc, response: Any, specs: Sequence[TensorSpec], *, finite: Sequence[str]
) -> Mapping[str, Array]:
    """The tensors of an answer that belongs to `rpc` and whose `finite` tensors are finite.

    Raises:
        ContractError: it is no such answer.
    """
    try:
        if response.id != rpc.request_id:
            raise ContractError(
                f"the answer carries the id {response.id!r}; expected {rpc.request_id!r}. "
                "Look for a proxy that mixes answers up"
            )
        tensors = arrays_from_response(response, specs)
        for name in finite:
            if not np.isfinite(tensors[name]).all():
                raise ContractError(
                    f"output {name!r} holds NaN or infinity; expected finite numbers. "
                    "Check the weights behind the pipeline"
                )
    except MienError as error:
        error.model_name, error.request_id = rpc.model_name, rpc.request_id
        raise
    return tensors


def _face(tensors: Mapping[str, Array], *, prefix: str = "", **details: Any) -> Face:
    left, top, right, bottom = tensors[f"{prefix}box_xyxy"].tolist()
    return Face((left, top, right, bottom), tensors[f"{prefix}landmarks"], **details)


def _known(tensor: Array) -> float | None:
    """The number of a (1,) tensor, None where it is none: the server does not know it."""
    value = float(tensor[0])
    return value if math.isfinite(value) else None


def _flag(response: Any, name: str) -> bool | None:
    parameters = response.config.parameters
    word = parameters[name].string_value if name in parameters else None
    return {"true": True, "false": False}.get(word or "")
