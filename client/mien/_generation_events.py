# SPDX-License-Identifier: Apache-2.0
"""Messages of the stream of `generate_faces` -> events. Pure like `_requests`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from mien._errors import ContractError, MienError, error_from_words
from mien._generated import (
    FacePreview,
    GeneratedFace,
    GenerationEvent,
    GenerationProgress,
    GenerationStarted,
    IdentityToken,
)
from mien._requests import Rpc
from mien._tensors import Array, TensorSpec, named_arrays

__all__ = ["ImageFormat", "Message", "read_message", "wanted_outputs"]

ImageFormat: TypeAlias = Literal["png", "raw"]

GENERATE_OUTPUTS = (
    TensorSpec("event", "BYTES", (1,), is_batched=False),
    TensorSpec("index", "INT32", (1,), is_batched=False),
    TensorSpec("seed", "UINT64", (1,), is_batched=False),
    TensorSpec("steps_done", "INT32", (1,), is_batched=False),
    TensorSpec("steps", "INT32", (1,), is_batched=False),
    TensorSpec("image", "BYTES", (1,), is_batched=False),
    TensorSpec("pixels", "UINT8", (-1, -1, 3), is_batched=False),
    TensorSpec("similarity", "FP32", (1,), is_batched=False),
    TensorSpec("codes", "FP32", (236,), is_batched=False),
    TensorSpec("identity_token", "BYTES", (1,), is_batched=False),
    TensorSpec("untrained", "BOOL", (1,), is_batched=False),
)
# What must come with each event, beside the image of those that show a face.
_EVENT_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "started": ("identity_token", "steps", "untrained"),
    "progress": ("steps_done", "steps"),
    "preview": ("index", "steps_done", "steps"),
    "face": ("index", "seed", "similarity", "codes", "untrained"),
}
_SHOW_A_FACE = ("preview", "face")
_IMAGE_OUTPUT: Mapping[ImageFormat, str] = {"png": "image", "raw": "pixels"}

_IS_FINAL = "triton_final_response"  # a parameter that Triton sets on every message


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the stream.

    Attributes:
        event: None where it carries none, or one that this client does not know.
        is_final: no message will follow.
    """

    event: GenerationEvent | None
    is_final: bool


def wanted_outputs(image_format: ImageFormat) -> tuple[TensorSpec, ...]:
    """The outputs to ask for: all, but images in one format only."""
    wanted = _IMAGE_OUTPUT[image_format]
    unwanted = set(_IMAGE_OUTPUT.values()) - {wanted}
    return tuple(spec for spec in GENERATE_OUTPUTS if spec.name not in unwanted)


def read_message(rpc: Rpc, message: Any, image_format: ImageFormat) -> Message:
    """Read a message of the stream that `rpc` has opened.

    Args:
        rpc: what was asked.
        message: ModelStreamInferResponse; None where the stream ended instead.
        image_format: what images come as.

    Raises:
        MienError: it is a refusal.
        ContractError: it is no such message, or the stream ended before its final one. The server
            was asked to mark that one, and where it breaks down the stream ends with a status: it
            ended this one in good order, and asking again would change nothing.
    """
    try:
        if message is None:
            raise ContractError(
                "the stream ended without its final message, so faces may be missing. Compare the "
                "versions of mien and Triton here and on the server"
            )
        if message.error_message:
            raise error_from_words(message.error_message)
        return _message(rpc, message.infer_response, image_format)
    except MienError as error:
        error.model_name, error.request_id = rpc.model_name, rpc.request_id
        raise


def _message(rpc: Rpc, response: Any, image_format: ImageFormat) -> Message:
    if response.id != rpc.request_id:
        raise ContractError(
            f"a message carries the id {response.id!r}; expected {rpc.request_id!r}. Look for a "
            "proxy that mixes answers up"
        )
    is_final = _IS_FINAL in response.parameters and response.parameters[_IS_FINAL].bool_param
    if is_final and not response.outputs:
        return Message(None, is_final)
    kind = _text(_tensors(response, ("event",))["event"])
    names = _EVENT_OUTPUTS.get(kind)
    if names is None:  # of a newer server
        return Message(None, is_final)
    if kind in _SHOW_A_FACE:
        names += (_IMAGE_OUTPUT[image_format],)
    return Message(_event(rpc, kind, _tensors(response, names)), is_final)


def _tensors(response: Any, names: tuple[str, ...]) -> Mapping[str, Array]:
    tensors = named_arrays(response, [spec for spec in GENERATE_OUTPUTS if spec.name in names])
    for name, array in tensors.items():
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise ContractError(
                f"output {name!r} holds NaN or infinity; expected finite numbers. "
                "Check the weights behind the pipeline"
            )
    return tensors


def _event(rpc: Rpc, kind: str, tensors: Mapping[str, Array]) -> GenerationEvent:
    def number(name: str) -> Any:
        return tensors[name].item()

    if kind == "started":
        identity = IdentityToken(_text(tensors["identity_token"]))
        return GenerationStarted(
            identity, number("steps"), number("untrained"), rpc.request_id or ""
        )
    if kind == "progress":
        return GenerationProgress(number("steps_done"), number("steps"))
    image = number("image") if "image" in tensors else tensors["pixels"]
    if kind == "preview":
        return FacePreview(number("index"), number("steps_done"), number("steps"), image)
    return GeneratedFace(
        index=number("index"),
        seed=number("seed"),
        similarity=number("similarity"),
        codes=tensors["codes"],
        image=image,
        untrained=number("untrained"),
    )


def _text(tensor: Array) -> str:
    text: str = tensor.item().decode("utf-8", errors="replace")
    return text
