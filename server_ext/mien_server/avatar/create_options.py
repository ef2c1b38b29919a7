# SPDX-License-Identifier: Apache-2.0
"""What a request for a new avatar may ask, with defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.choices import NO_HAIR, Expression, FacePolicy
from mien_server.avatar.option_values import (
    FileOptions,
    check_ply,
    colour_of,
    emotions_of,
    file_options,
)
from mien_server.avatar.texture.texels import TEXTURE_SIZES
from mien_server.errors import ServingError
from mien_server.generation.options import OptionReader

__all__ = ["CreateOptions", "read_create_options"]

Array = NDArray[Any]
Floats = NDArray[np.float32]


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
    file = file_options(read)
    check_ply(file, hairstyle)
    return CreateOptions(
        images=images,
        face_policy=read.choice("face_policy", FacePolicy.LARGEST),
        shape_source=read.text("shape_source") or "",
        expression=expression,
        emotions=emotions_of(inputs) if "emotions" in inputs else np.zeros(6, np.float32),
        hairstyle=hairstyle,
        hair_color=colour_of(inputs),
        texture_size=size,
        detail=read.flag("detail", False) if "detail" in inputs else None,
        turntable=read.flag("turntable", False),
        progress=read.flag("progress", False),
        file=file,
    )
