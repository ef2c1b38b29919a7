# SPDX-License-Identifier: Apache-2.0
"""What is asked for with an avatar -> the requests that make and change it. Pure like `_requests`.

None of these pipelines batches: their tensors have no batch axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from mien._avatar_order import (
    NO_HAIR,
    AvatarCompression,
    AvatarFormat,
    AvatarOrder,
    Changes,
    Expression,
    HairForm,
    Level,
)
from mien._event_messages import EVENT, WANT_FINAL
from mien._generation_requests import choice, refusal
from mien._requests import (
    APPLY_EMOTION_MODEL,
    CREATE_AVATAR_MODEL,
    TRY_HAIRSTYLE_MODEL,
    FacePolicy,
    Rpc,
    ShapeSource,
    infer_rpc,
)
from mien._tensors import TensorSpec

__all__ = ["changed_avatar_rpc", "checked_order", "create_avatar_rpc", "turntable_rpc"]

TEXTURE_SIZES = (256, 512, 1024)


def _spec(name: str, datatype: str, *dims: int) -> TensorSpec:
    return TensorSpec(name, datatype, dims or (1,), is_batched=False)


_FILE_INPUTS = (
    _spec("hair_form", "BYTES"),
    _spec("level", "BYTES"),
    _spec("format", "BYTES"),
    _spec("compression", "BYTES"),
    _spec("turntable", "BOOL"),
)
_AVATAR_INPUTS = (
    _spec("avatar_code", "BYTES"),
    _spec("texture", "BYTES"),
    _spec("normals", "BYTES"),
)
CREATE_AVATAR_INPUTS = (
    _spec("images", "BYTES", -1),
    _spec("face_policy", "BYTES"),
    _spec("shape_source", "BYTES"),
    _spec("expression", "BYTES"),
    _spec("emotions", "FP32", 6),
    _spec("hairstyle", "BYTES"),
    _spec("hair_color", "FP32", 3),
    *_FILE_INPUTS,
    _spec("texture_size", "INT32"),
    _spec("detail", "BOOL"),
    _spec("progress", "BOOL"),
)
CREATE_AVATAR_OUTPUTS = (
    EVENT,
    _spec("stage", "BYTES"),
    _spec("stages_done", "INT32"),
    _spec("stages", "INT32"),
    _spec("file", "BYTES"),
    _spec("avatar_code", "BYTES"),
    _spec("texture", "BYTES"),
    _spec("normals", "BYTES"),
    _spec("turntable", "BYTES"),
    _spec("similarity", "FP32"),
    _spec("difd", "FP32"),
    _spec("psnr", "FP32"),
    _spec("ssim", "FP32"),
    _spec("codes", "FP32", 236),
    _spec("shape", "FP32", 300),
    _spec("untrained", "BOOL"),
)
APPLY_EMOTION_INPUTS = (*_AVATAR_INPUTS, _spec("emotions", "FP32", 6), *_FILE_INPUTS)
TRY_HAIRSTYLE_INPUTS = (
    *_AVATAR_INPUTS,
    _spec("hairstyle", "BYTES"),
    _spec("hair_color", "FP32", 3),
    *_FILE_INPUTS,
)
TURNTABLE_OUTPUT = _spec("turntable", "BYTES")
CHANGED_AVATAR_OUTPUTS = (  # of both
    _spec("file", "BYTES"),
    _spec("avatar_code", "BYTES"),
    _spec("untrained", "BOOL"),
)


def checked_order(order: AvatarOrder) -> AvatarOrder:
    """`order` itself, where some server might take it.

    Raises:
        InvalidOptionError: it holds a value that no server would take, or two that contradict.
    """
    create_avatar_rpc(order, ())
    if order.expression == "emotions" and order.emotions is None:
        raise refusal(
            "expression is 'emotions', and none came; pass emotions={'happiness': 0.8} or "
            "happiness=0.8"
        )
    if order.expression in ("detected", "neutral") and order.emotions is not None:
        raise refusal(
            f"expression is {order.expression!r}, and emotions came too; leave one of them out"
        )
    if order.format == "ply" and order.hairstyle_name == NO_HAIR:
        raise refusal(
            "format is 'ply', which holds hair alone, and there is none; pass a hairstyle, or "
            "another format"
        )
    if order.compression == "draco" and order.file_format != "glb":
        raise refusal(
            f"compression is 'draco' and format {order.format!r}; only 'glb' can be compressed"
        )
    return order


def create_avatar_rpc(order: AvatarOrder, images: Sequence[bytes]) -> Rpc:
    """The inference that makes an avatar.

    Args:
        order: what was asked for.
        images: its photographs, encoded.

    Raises:
        InvalidOptionError: `order` holds a value that no server would take.
    """
    values = {
        "images": list(images),
        "face_policy": choice("face_policy", order.face_policy, get_args(FacePolicy)),
        "shape_source": choice("shape_source", order.shape_source, get_args(ShapeSource)),
        "expression": choice("expression", order.expression, get_args(Expression)),
        "emotions": order.emotions,
        "hairstyle": None if order.hairstyle is None else order.hairstyle.encode(),
        "hair_color": order.hair_color,
        "texture_size": _texture_size(order.texture_size),
        "detail": order.detail,
        "turntable": order.turntable,
        "progress": order.progress,
        **_file_values(order),
    }
    rpc = infer_rpc(
        CREATE_AVATAR_MODEL,
        CREATE_AVATAR_INPUTS,
        [values[spec.name] for spec in CREATE_AVATAR_INPUTS],
        CREATE_AVATAR_OUTPUTS,
        method="ModelStreamInfer",
    )
    rpc.request.parameters[WANT_FINAL].bool_param = True
    return rpc


def changed_avatar_rpc(
    order: AvatarOrder,
    changes: Changes,
    *,
    avatar_code: str,
    texture: bytes,
    normals: bytes | None,
) -> Rpc:
    """The inference that makes an avatar again, changed, without its photographs.

    Args:
        order: what it is now asked for with.
        changes: what of that is new; the server knows the rest from the code.
        avatar_code: of what it was.
        texture: of what it was.
        normals: of what it was.

    Raises:
        InvalidOptionError: `order` holds a value that no server would take.
    """
    by_emotion = "emotions" in changes
    inputs = APPLY_EMOTION_INPUTS if by_emotion else TRY_HAIRSTYLE_INPUTS
    changed = {
        "emotions": order.emotions,
        "hairstyle": order.hairstyle_name.encode(),
        "hair_color": order.hair_color,
    }
    values = {
        "avatar_code": avatar_code.encode(),
        "texture": texture,
        "normals": normals,
        **{name: value for name, value in changed.items() if name in changes},
        **_file_values(order),
    }
    return infer_rpc(
        APPLY_EMOTION_MODEL if by_emotion else TRY_HAIRSTYLE_MODEL,
        inputs,
        [values.get(spec.name) for spec in inputs],
        CHANGED_AVATAR_OUTPUTS,
    )


def turntable_rpc(*, avatar_code: str, texture: bytes) -> Rpc:
    """The inference that draws an avatar as it is, and makes no file.

    Args:
        avatar_code: of the avatar.
        texture: of the avatar.
    """
    values = {"avatar_code": avatar_code.encode(), "texture": texture, "turntable": True}
    return infer_rpc(
        TRY_HAIRSTYLE_MODEL,
        TRY_HAIRSTYLE_INPUTS,
        [values.get(spec.name) for spec in TRY_HAIRSTYLE_INPUTS],
        (TURNTABLE_OUTPUT,),
    )


def _file_values(order: AvatarOrder) -> dict[str, Any]:
    return {
        "hair_form": choice("hair_form", order.hair_form, get_args(HairForm)),
        "level": choice("level", order.level, get_args(Level)),
        "format": choice("format", order.format, get_args(AvatarFormat)),
        "compression": choice("compression", order.compression, get_args(AvatarCompression)),
    }


def _texture_size(size: int | None) -> int | None:
    if size is not None and size not in TEXTURE_SIZES:
        allowed = ", ".join(map(str, TEXTURE_SIZES))
        raise refusal(
            f"texture_size is {size!r}; allowed are {allowed}. Leave it out for the server's "
            "default"
        )
    return size
