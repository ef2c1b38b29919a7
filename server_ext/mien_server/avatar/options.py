# SPDX-License-Identifier: Apache-2.0
"""What requests for avatars may ask, with defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.texels import TEXTURE_SIZES
from mien_server.errors import ServingError
from mien_server.generation.options import OptionReader

__all__ = [
    "EMOTIONS",
    "NO_HAIR",
    "OWN_HAIR",
    "Compression",
    "CreateOptions",
    "EmotionOptions",
    "Expression",
    "FileFormat",
    "FileOptions",
    "HairForm",
    "HairstyleOptions",
    "Level",
    "read_create_options",
    "read_emotion_options",
    "read_hairstyle_options",
]

Array = NDArray[Any]
Floats = NDArray[np.float32]

EMOTIONS = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
NO_HAIR, OWN_HAIR = "none", "own"


class Expression(Enum):
    """What an avatar wears as it is opened."""

    DETECTED = "detected"
    NEUTRAL = "neutral"
    EMOTIONS = "emotions"


class HairForm(Enum):
    """What hair is made of."""

    CARDS = "cards"
    STRANDS = "strands"
    MESH = "mesh"


class Level(Enum):
    """How much of hair is written; see `mien_server.hair.levels`."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class FileFormat(Enum):
    """Of the file."""

    GLB = "glb"
    ZIP = "zip"
    PLY = "ply"


class Compression(Enum):
    """Of a GLB."""

    NONE = "none"
    DRACO = "draco"


class FacePolicy(Enum):
    """Which face of a photograph is meant."""

    LARGEST = "largest"
    SINGLE = "single"


class Output(Enum):
    """What `apply_emotion` makes."""

    FILE = "file"
    MORPH = "morph"


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How an avatar is written; the attributes are inputs of the same names.

    Attributes:
        hair_form: see there.
        level: see there.
        format: see there.
        compression: see there.
    """

    hair_form: HairForm
    level: Level
    format: FileFormat
    compression: Compression


@dataclass(frozen=True, slots=True, eq=False)
class CreateOptions:
    """What `create_avatar` is asked; the attributes are its inputs of the same names.

    Attributes:
        images: encoded photographs.
        face_policy: see there.
        shape_source: as `fit_faces` takes it; "" for its default.
        expression: see there.
        emotions: (6,) float32 in the order of `EMOTIONS`.
        hairstyle: a name, `OWN_HAIR` or `NO_HAIR`.
        hair_color: (3,) float32 sRGB 0..1; None for the photograph's.
        texture_size: pixels.
        detail: None for: where there are networks for it.
        turntable: make one.
        progress: tell of every stage.
        file: how it is written.
    """

    images: tuple[bytes, ...]
    face_policy: FacePolicy
    shape_source: str
    expression: Expression
    emotions: Floats
    hairstyle: str
    hair_color: Floats | None
    texture_size: int
    detail: bool | None
    turntable: bool
    progress: bool
    file: FileOptions


@dataclass(frozen=True, slots=True, eq=False)
class EmotionOptions:
    """What `apply_emotion` is asked, beside the avatar.

    Attributes:
        emotions: (6,) float32 in the order of `EMOTIONS`.
        output: see there.
        file: how it is written.
    """

    emotions: Floats
    output: Output
    file: FileOptions


@dataclass(frozen=True, slots=True, eq=False)
class HairstyleOptions:
    """What `try_hairstyle` is asked, beside the avatar.

    Attributes:
        hairstyle: a name, `OWN_HAIR` or `NO_HAIR`.
        hair_color: (3,) float32 sRGB 0..1; None for that of the code.
        file: how it is written.
    """

    hairstyle: str
    hair_color: Floats | None
    file: FileOptions


def read_create_options(inputs: Mapping[str, Array], *, max_images: int) -> CreateOptions:
    """Read a request for an avatar.

    Args:
        inputs: by name; what was left out is missing.
        max_images: photographs that one may bring.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    read = OptionReader(inputs)
    images = tuple(map(bytes, inputs["images"].ravel().tolist()))
    if not 1 <= len(images) <= max_images:
        raise ServingError(
            "INVALID_TENSOR",
            f"images has {len(images)} photographs; send 1 to {max_images} of one person",
        )
    default = Expression.EMOTIONS if "emotions" in inputs else Expression.DETECTED
    expression = read.choice("expression", default)
    if expression is Expression.EMOTIONS and "emotions" not in inputs:
        raise ServingError(
            "INVALID_OPTION",
            "expression is 'emotions' and there is no input emotions; send six intensities, or "
            "choose 'detected' or 'neutral'",
        )
    if expression is not Expression.EMOTIONS and "emotions" in inputs:
        raise ServingError(
            "INVALID_OPTION",
            f"expression is {expression.value!r} and emotions came too; leave one of them out",
        )
    size = read.whole("texture_size", 512, TEXTURE_SIZES[0], TEXTURE_SIZES[-1])
    if size not in TEXTURE_SIZES:
        allowed = ", ".join(map(str, TEXTURE_SIZES))
        raise ServingError("INVALID_OPTION", f"texture_size is {size}; it must be one of {allowed}")
    hairstyle = read.text("hairstyle") or NO_HAIR
    file = _file_options(read)
    _check_ply(file, hairstyle)
    return CreateOptions(
        images=images,
        face_policy=read.choice("face_policy", FacePolicy.LARGEST),
        shape_source=read.text("shape_source") or "",
        expression=expression,
        emotions=_emotions(inputs) if "emotions" in inputs else np.zeros(6, np.float32),
        hairstyle=hairstyle,
        hair_color=_colour(inputs),
        texture_size=size,
        detail=read.flag("detail", False) if "detail" in inputs else None,
        turntable=read.flag("turntable", False),
        progress=read.flag("progress", False),
        file=file,
    )


def read_emotion_options(inputs: Mapping[str, Array]) -> EmotionOptions:
    """Read a request for other emotions.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    read = OptionReader(inputs)
    return EmotionOptions(
        _emotions(inputs), read.choice("output", Output.FILE), _file_options(read)
    )


def read_hairstyle_options(inputs: Mapping[str, Array]) -> HairstyleOptions:
    """Read a request for another hairstyle.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    read = OptionReader(inputs)
    hairstyle, file = read.text("hairstyle") or NO_HAIR, _file_options(read)
    _check_ply(file, hairstyle)
    return HairstyleOptions(hairstyle, _colour(inputs), file)


def _file_options(read: OptionReader) -> FileOptions:
    options = FileOptions(
        hair_form=read.choice("hair_form", HairForm.CARDS),
        level=read.choice("level", Level.MEDIUM),
        format=read.choice("format", FileFormat.GLB),
        compression=read.choice("compression", Compression.NONE),
    )
    if options.compression is not Compression.NONE and options.format is not FileFormat.GLB:
        raise ServingError(
            "INVALID_OPTION",
            f"compression is {options.compression.value!r} and format {options.format.value!r}; "
            "only 'glb' can be compressed",
        )
    return options


def _check_ply(file: FileOptions, hairstyle: str) -> None:
    if file.format is FileFormat.PLY and hairstyle == NO_HAIR:
        raise ServingError(
            "INVALID_OPTION",
            "format is 'ply', which holds hair alone, and hairstyle is 'none'; choose a hairstyle "
            "or another format",
        )


def _emotions(inputs: Mapping[str, Array]) -> Floats:
    given = _numbers(inputs["emotions"], len(EMOTIONS), "emotions")
    for name, value in zip(EMOTIONS, given.tolist(), strict=True):
        if not 0 <= value <= 1:  # NaN is not
            raise ServingError(
                "INVALID_OPTION",
                f"the intensity of {name} is {value:g}; it must lie between 0 and 1",
            )
    return given


def _colour(inputs: Mapping[str, Array]) -> Floats | None:
    if "hair_color" not in inputs:
        return None
    given = _numbers(inputs["hair_color"], 3, "hair_color")
    if not ((given >= 0) & (given <= 1)).all():
        came = ", ".join(f"{value:g}" for value in given)
        raise ServingError(
            "INVALID_OPTION", f"hair_color is {came}; red, green and blue must lie between 0 and 1"
        )
    return given


def _numbers(given: Array, count: int, name: str) -> Floats:
    if given.size != count:
        raise ServingError(
            "INVALID_TENSOR", f"{name} has shape {given.shape}; it must be ({count},)"
        )
    return np.array(given, np.float32).reshape(count)
