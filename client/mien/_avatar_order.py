# SPDX-License-Identifier: Apache-2.0
"""What an avatar is asked for with, in the words of the client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from mien._generation_requests import refusal
from mien._images import ImageInput
from mien._requests import FacePolicy, ShapeSource

__all__ = [
    "MAX_PHOTOGRAPHS",
    "NO_HAIR",
    "AvatarCompression",
    "AvatarFormat",
    "AvatarOrder",
    "Changes",
    "Expression",
    "HairColor",
    "HairForm",
    "Level",
    "Photographs",
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
# Names of the inputs that other values are sent for: emotions, or hairstyle and hair_color.
Changes: TypeAlias = frozenset[str]
Photographs: TypeAlias = ImageInput | Sequence[ImageInput]

MAX_PHOTOGRAPHS = 8
NO_HAIR = "none"
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarOrder:
    """What an avatar is asked for with. None is left to the server.

    Attributes:
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


def _numbers(values: Sequence[float]) -> list[float]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return []
    return [float(value) for value in array] if array.ndim == 1 else []
