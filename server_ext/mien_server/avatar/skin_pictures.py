# SPDX-License-Identifier: Apache-2.0
"""Pictures of skin that a request brings, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.pictures import encoded_png
from mien_server.errors import ServingError

__all__ = ["came_picture", "pixels_of", "skin_from_albedo"]

Array = NDArray[Any]


def came_picture(inputs: Mapping[str, Array], name: str) -> EncodedImage | None:
    """A picture that came; None where it was left out or is empty.

    Raises:
        ServingError: INVALID_TENSOR, it is none that an avatar can have.
    """
    data = bytes(inputs[name].ravel().tolist()[0]) if name in inputs else b""
    if not data:
        return None
    try:
        return EncodedImage(data)
    except ValueError as why:
        raise _refusal(name, str(why)) from None


def skin_from_albedo(albedo: Array) -> EncodedImage:
    """(S, S, 3) 0..1, or uint8, as a texture."""
    return EncodedImage(encoded_png(albedo))


def pixels_of(texture: EncodedImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        ServingError: INVALID_TENSOR, the picture is damaged.
    """
    # Viewers of avatars turn no texture, whatever its EXIF says.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(texture.data, np.uint8), flags)
    if bgr is None:
        raise _refusal("texture", "its pixels cannot be decoded")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _refusal(name: str, why: str) -> ServingError:
    return ServingError("INVALID_TENSOR", f"{name}: {why}. Send what create_avatar answered with")
