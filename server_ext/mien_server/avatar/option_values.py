# SPDX-License-Identifier: Apache-2.0
"""What requests that make and change avatars have in common, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.choices import (
    EMOTIONS,
    NO_HAIR,
    Compression,
    FileFormat,
    HairForm,
    Level,
)
from mien_server.errors import ServingError
from mien_server.generation.options import OptionReader

__all__ = ["FileOptions", "check_ply", "colour_of", "emotions_of", "file_options"]

Array = NDArray[Any]
Floats = NDArray[np.float32]


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


def file_options(read: OptionReader) -> FileOptions:
    """How a request wants its avatar written.

    Raises:
        ServingError: INVALID_OPTION: what came and what is allowed.
    """
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


def check_ply(file: FileOptions, hairstyle: str) -> None:
    """Refuse a file of hair alone where there is none.

    Args:
        file: as it is wanted.
        hairstyle: that the avatar will have.

    Raises:
        ServingError: INVALID_OPTION.
    """
    if file.format is FileFormat.PLY and hairstyle in (NO_HAIR, ""):
        raise no_hair_for_ply()


def no_hair_for_ply() -> ServingError:
    """The refusal of a file of hair where there is none."""
    return ServingError(
        "INVALID_OPTION",
        "format is 'ply', which holds hair alone, and the avatar has none: its hairstyle is "
        "'none', or the person is bald; choose a hairstyle or another format",
    )


def emotions_of(inputs: Mapping[str, Array]) -> Floats:
    """(6,) float32 intensities, in the order of `EMOTIONS`.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    given = _numbers(inputs["emotions"], len(EMOTIONS), "emotions")
    for name, value in zip(EMOTIONS, given.tolist(), strict=True):
        if not 0 <= value <= 1:  # NaN is not
            raise ServingError(
                "INVALID_OPTION",
                f"the intensity of {name} is {value:g}; it must lie between 0 and 1",
            )
    return given


def colour_of(inputs: Mapping[str, Array]) -> Floats | None:
    """(3,) float32 sRGB of the hair, 0..1; None where it was left out.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
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
