# SPDX-License-Identifier: Apache-2.0
"""What a request for a changed avatar may ask, with defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.choices import Output
from mien_server.avatar.option_values import FileOptions, colour_of, emotions_of, file_options
from mien_server.generation.options import OptionReader

__all__ = [
    "EmotionOptions",
    "HairstyleOptions",
    "read_emotion_options",
    "read_hairstyle_options",
]

Array = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class EmotionOptions:
    """What `apply_emotion` is asked, beside the avatar.

    Attributes:
        emotions: (6,) float32 in the order of `EMOTIONS`.
        output: see there.
        turntable: make one.
        file: how it is written.
    """

    emotions: Floats
    output: Output
    turntable: bool
    file: FileOptions


@dataclass(frozen=True, slots=True, eq=False)
class HairstyleOptions:
    """What `try_hairstyle` is asked, beside the avatar.

    Attributes:
        hairstyle: a name, `OWN_HAIR` or `NO_HAIR`; None for that of the code.
        hair_color: (3,) float32 sRGB 0..1; None for that of the code.
        turntable: make one.
        file: how it is written.
    """

    hairstyle: str | None
    hair_color: Floats | None
    turntable: bool
    file: FileOptions


def read_emotion_options(inputs: Mapping[str, Array]) -> EmotionOptions:
    """Read a request for other emotions.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    read = OptionReader(inputs)
    return EmotionOptions(
        emotions_of(inputs),
        read.choice("output", Output.FILE),
        read.flag("turntable", False),
        file_options(read),
    )


def read_hairstyle_options(inputs: Mapping[str, Array]) -> HairstyleOptions:
    """Read a request for another hairstyle, or for the same in another form.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    read = OptionReader(inputs)
    return HairstyleOptions(
        read.text("hairstyle") or None,
        colour_of(inputs),
        read.flag("turntable", False),
        file_options(read),
    )
