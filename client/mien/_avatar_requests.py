# SPDX-License-Identifier: Apache-2.0
"""What is asked for with an avatar -> the requests that make and change it. Pure like `_requests`.

None of these pipelines batches: their tensors have no batch axis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from mien._event_messages import EVENT, WANT_FINAL
from mien._generation_requests import choice, refusal
from mien._images import ImageInput
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

__all__ = [
    "MAX_PHOTOGRAPHS",
    "AvatarCompression",
    "AvatarFormat",
    "AvatarOrder",
    "Expression",
    "HairColor",
    "HairForm",
    "Level",
    "Photographs",
    "changed_avatar_rpc",
    "checked_order",
    "create_avatar_rpc",
    "hair_color_rgb",
    "hairstyle_name",
    "photographs",
]

AvatarFormat: TypeAlias = Literal["glb", "zip", "ply"]
AvatarCompression: TypeAlias = Literal["none", "draco"]
HairForm: TypeAlias = Literal["cards", "strands", "mesh"]
Level: TypeAlias = Literal["high", "medium", "low"]
Expression: TypeAlias = Literal["detected", "neutral", "emotions"]
HairColor: TypeAlias = str | Sequence[float]
Photographs: TypeAlias = ImageInput | Sequence[ImageInput]

MAX_PHOTOGRAPHS = 8
TEXTURE_SIZES = (256, 512, 1024)
NO_HAIR = "none"
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


def _spec(name: str, datatype: str, *dims: int) -> TensorSpec:
    return TensorSpec(name, datatype, dims or (1,), is_batched=False)


_FILE_INPUTS = (
    _spec("hair_form", "BYTES"),
    _spec("level", "BYTES"),
    _spec("format", "BYTES"),
    _spec("compression", "BYTES"),
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
    _spec("turntable", "BOOL"),
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
CHANGED_AVATAR_OUTPUTS = (  # of both
    _spec("file", "BYTES"),
    _spec("avatar_code", "BYTES"),
    _spec("untrained", "BOOL"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarOrder:
    """What an avatar is asked for with. None is left to the server.

    Attributes:
        images: photographs, encoded or not yet.
        face_policy: as the contract's inputs of these names, here and in the following.
        shape_source: see there.
        expression: see there.
        emotions: six intensities.
        hairstyle: see there.
        hair_color: red, green, blue.
        hair_form: see there.
        level: see there.
        texture_size: see there.
        detail: see there.
        format: see there.
        compression: see there.
        turntable: see there.
        progress: see there.
    """

    images: tuple[ImageInput, ...]
    face_policy: FacePolicy | None = None
    shape_source: ShapeSource | None = None
    expression: Expression | None = None
    emotions: tuple[float, ...] | None = None
    hairstyle: str | None = None
    hair_color: tuple[float, ...] | None = None
    hair_form: HairForm | None = None
    level: Level | None = None
    texture_size: int | None = None
    detail: bool | None = None
    format: AvatarFormat | None = None
    compression: AvatarCompression | None = None
    turntable: bool | None = None
    progress: bool | None = None

    @property
    def file_format(self) -> AvatarFormat:
        """What the file will be: the contract's default where none was asked for."""
        return self.format or "glb"

    @property
    def hairstyle_name(self) -> str:
        """What the hair will be: the contract's default where none was asked for."""
        return self.hairstyle or NO_HAIR

    def with_emotions(self, emotions: tuple[float, ...]) -> AvatarOrder:
        """The same with these emotions in place of what the face wears."""
        return replace(self, emotions=emotions, expression="emotions")

    def in_format(self, format: AvatarFormat) -> AvatarOrder:
        """The same in another format; where that cannot be compressed, it is not."""
        compression = self.compression if format == "glb" else None
        return replace(self, format=format, compression=compression)


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


def photographs(photos: Photographs) -> tuple[ImageInput, ...]:
    """One photograph or several, as several.

    Raises:
        InvalidOptionError: there are none, or more than a request may bring.
    """
    if not isinstance(photos, (list, tuple)):
        return (photos,)  # type: ignore[return-value]  # paths, bytes and arrays are no sequences
    if not 1 <= len(photos) <= MAX_PHOTOGRAPHS:
        raise refusal(
            f"{len(photos)} photographs came; allowed are 1 to {MAX_PHOTOGRAPHS}, all of one person"
        )
    return tuple(photos)


def hairstyle_name(name: str | None) -> str | None:
    """`name` itself, where it is left out or a text that could be a name.

    Raises:
        InvalidOptionError: it is something else.
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise refusal(
            f"hairstyle is {name!r}; expected a name that hairstyles() lists, 'own' or 'none'"
        )
    return name


def hair_color_rgb(color: HairColor | None) -> tuple[float, ...] | None:
    """Red, green and blue of a colour, sRGB, 0..1; None where none is given.

    Args:
        color: these three, or "#rrggbb".

    Raises:
        InvalidOptionError: it is no such colour.
    """
    if color is None:
        return None
    if isinstance(color, str):
        match = _HEX_COLOR.fullmatch(color)
        values = [int(part, 16) / 255 for part in match.groups()] if match else []
    else:
        values = _numbers(color)
    if len(values) != 3 or not all(0 <= value <= 1 for value in values):
        raise refusal(
            f"hair colour is {color!r}; expected red, green and blue from 0 to 1, or '#rrggbb'"
        )
    return tuple(values)


def create_avatar_rpc(
    order: AvatarOrder, images: Sequence[bytes], *, outputs: Sequence[str] | None = None
) -> Rpc:
    """The inference that makes an avatar.

    Args:
        order: what was asked for.
        images: its photographs, encoded.
        outputs: names of those that are wanted; None for all.

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
        [spec for spec in CREATE_AVATAR_OUTPUTS if outputs is None or spec.name in outputs],
        method="ModelStreamInfer",
    )
    rpc.request.parameters[WANT_FINAL].bool_param = True
    return rpc


def changed_avatar_rpc(
    order: AvatarOrder,
    *,
    avatar_code: str,
    texture: bytes,
    normals: bytes | None,
    by_emotion: bool,
) -> Rpc:
    """The inference that makes an avatar again, changed, without its photographs.

    Args:
        order: what it is now asked for with.
        avatar_code: of what it was.
        texture: of what it was.
        normals: of what it was.
        by_emotion: whether the emotions of `order` are put on; otherwise its hairstyle is, and the
            face wears what it wore.

    Raises:
        InvalidOptionError: `order` holds a value that no server would take.
    """
    values = {
        "avatar_code": avatar_code.encode(),
        "texture": texture,
        "normals": normals,
        "emotions": order.emotions,
        "hairstyle": order.hairstyle_name.encode(),
        "hair_color": order.hair_color,
        **_file_values(order),
    }
    inputs = APPLY_EMOTION_INPUTS if by_emotion else TRY_HAIRSTYLE_INPUTS
    return infer_rpc(
        APPLY_EMOTION_MODEL if by_emotion else TRY_HAIRSTYLE_MODEL,
        inputs,
        [values[spec.name] for spec in inputs],
        CHANGED_AVATAR_OUTPUTS,
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


def _numbers(values: Sequence[float]) -> list[float]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return []
    return [float(value) for value in array] if array.ndim == 1 else []
