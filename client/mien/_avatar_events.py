# SPDX-License-Identifier: Apache-2.0
"""Messages of the stream of `create_avatar` -> events, answers with changed avatars -> avatars.

Pure like `_requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from mien._avatar_content import AvatarContent, AvatarProgress, AvatarQuality
from mien._avatar_order import AvatarOrder
from mien._avatar_requests import CHANGED_AVATAR_OUTPUTS, CREATE_AVATAR_OUTPUTS, TURNTABLE_OUTPUT
from mien._errors import ContractError
from mien._event_messages import Message, event_tensors, read_event_message, text_of
from mien._requests import Rpc, answered_tensors
from mien._tensors import Array, TensorSpec, named_arrays

__all__ = [
    "AvatarEvent",
    "changed_content",
    "read_avatar_message",
    "turntable_of",
]

AvatarEvent: TypeAlias = AvatarProgress | AvatarContent

_STAGE_OUTPUTS = ("stage", "stages_done", "stages")
_QUALITY_OUTPUTS = ("similarity", "difd", "psnr", "ssim")
_AVATAR_OUTPUTS = (
    "file",
    "avatar_code",
    "texture",
    "normals",
    "turntable",
    "codes",
    "shape",
    "untrained",
)


def read_avatar_message(rpc: Rpc, message: Any, order: AvatarOrder) -> Message[AvatarEvent]:
    """Read a message of the stream that makes an avatar, as `read_event_message`.

    Args:
        rpc: what was asked.
        message: ModelStreamInferResponse; None where the stream ended instead.
        order: what it was asked for with.
    """

    def read(kind: str, response: Any) -> AvatarEvent | None:
        if kind == "stage":
            tensors = _tensors(response, _STAGE_OUTPUTS)
            numbers = (tensors[name].item() for name in ("stages_done", "stages"))
            return AvatarProgress(text_of(tensors["stage"]), *numbers)
        return _content(rpc, response, order) if kind == "avatar" else None

    return read_event_message(rpc, message, read)


def changed_content(
    rpc: Rpc, response: Any, content: AvatarContent, order: AvatarOrder
) -> AvatarContent:
    """Read the answer to `changed_avatar_rpc`.

    Args:
        rpc: what was asked.
        response: ModelInferResponse.
        content: of the avatar that was changed.
        order: what it was now asked for with.

    Raises:
        ContractError: it is no such answer.
    """
    tensors = answered_tensors(rpc, response, CHANGED_AVATAR_OUTPUTS, finite=())
    return replace(
        content,
        file=tensors["file"].item(),
        avatar_code=text_of(tensors["avatar_code"]),
        turntable=None,
        untrained=tensors["untrained"].item(),
        request_id=rpc.request_id or "",
        order=order,
    )


def turntable_of(rpc: Rpc, response: Any) -> bytes:
    """Read the answer to `turntable_rpc`.

    Raises:
        ContractError: it is no such answer.
    """
    tensor = answered_tensors(rpc, response, (TURNTABLE_OUTPUT,), finite=())["turntable"]
    png = _bytes(tensor)
    if png is None:
        raise ContractError(
            "the turntable is empty; it was asked for. Compare the versions of mien here and on "
            "the server",
            model_name=rpc.model_name,
            request_id=rpc.request_id,
        )
    return png


def _content(rpc: Rpc, response: Any, order: AvatarOrder) -> AvatarContent:
    tensors = _tensors(response, _AVATAR_OUTPUTS)
    quality = named_arrays(response, _specs(_QUALITY_OUTPUTS))  # NaN where it cannot be told
    return AvatarContent(
        file=tensors["file"].item(),
        avatar_code=text_of(tensors["avatar_code"]),
        texture=tensors["texture"].item(),
        normals=_bytes(tensors["normals"]),
        turntable=_bytes(tensors["turntable"]),
        quality=AvatarQuality(*(quality[name].item() for name in _QUALITY_OUTPUTS)),
        codes=tensors["codes"],
        shape=tensors["shape"],
        untrained=tensors["untrained"].item(),
        request_id=rpc.request_id or "",
        order=order,
    )


def _tensors(response: Any, names: tuple[str, ...]) -> Mapping[str, Array]:
    return event_tensors(response, _specs(names))


def _specs(names: tuple[str, ...]) -> list[TensorSpec]:
    return [spec for spec in CREATE_AVATAR_OUTPUTS if spec.name in names]


def _bytes(tensor: Array) -> bytes | None:
    """None for "", which says that there is none."""
    content: bytes = tensor.item()
    return content or None
