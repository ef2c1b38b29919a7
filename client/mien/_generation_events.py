# SPDX-License-Identifier: Apache-2.0
"""Messages of the stream of `generate_faces` -> events. Pure like `_requests`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from mien._event_messages import (
    EVENT,
    Message,
    event_tensors,
    read_event_message,
    text_of,
)
from mien._generated import (
    FacePreview,
    GeneratedFace,
    GenerationEvent,
    GenerationProgress,
    GenerationStarted,
    IdentityToken,
)
from mien._requests import Rpc
from mien._tensors import Array, TensorSpec

__all__ = ["ImageFormat", "read_message", "wanted_outputs"]

ImageFormat: TypeAlias = Literal["png", "raw"]

GENERATE_OUTPUTS = (
    EVENT,
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


def wanted_outputs(image_format: ImageFormat) -> tuple[TensorSpec, ...]:
    """The outputs to ask for: all, but images in one format only."""
    wanted = _IMAGE_OUTPUT[image_format]
    unwanted = set(_IMAGE_OUTPUT.values()) - {wanted}
    return tuple(spec for spec in GENERATE_OUTPUTS if spec.name not in unwanted)


def read_message(rpc: Rpc, message: Any, image_format: ImageFormat) -> Message[GenerationEvent]:
    """Read a message of the stream that `rpc` has opened, as `read_event_message`.

    Args:
        rpc: what was asked.
        message: ModelStreamInferResponse; None where the stream ended instead.
        image_format: what images come as.
    """

    def read(kind: str, response: Any) -> GenerationEvent | None:
        names = _EVENT_OUTPUTS.get(kind)
        if names is None:  # of a newer server
            return None
        if kind in _SHOW_A_FACE:
            names += (_IMAGE_OUTPUT[image_format],)
        specs = [spec for spec in GENERATE_OUTPUTS if spec.name in names]
        return _event(rpc, kind, event_tensors(response, specs))

    return read_event_message(rpc, message, read)


def _event(rpc: Rpc, kind: str, tensors: Mapping[str, Array]) -> GenerationEvent:
    def number(name: str) -> Any:
        return tensors[name].item()

    if kind == "started":
        identity = IdentityToken(text_of(tensors["identity_token"]))
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
