# SPDX-License-Identifier: Apache-2.0
"""Whatever a caller holds -> the encoded bytes that go on the wire.

Files and bytes travel unchanged: the server decodes them and applies their EXIF orientation.
Pixels travel as PNG, which loses nothing. Pillow is imported only when there are pixels to encode.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from mien._errors import InvalidImageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageInput", "encoded_async", "encoded_image"]

ImageInput: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, NDArray[np.uint8], "Image.Image"
]

# Fast rather than small: level 1 costs a few per cent of size and saves most of the time.
_PNG_COMPRESS_LEVEL = 1
# Modes whose values are not 0..255: Pillow would clip them silently.
_WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")


def encoded_image(image: ImageInput, what: str) -> bytes:
    """Encoded bytes of an image in any accepted form.

    Args:
        image: a path; encoded bytes (JPEG, PNG or WebP); an array, uint8, RGB (H, W, 3) or grey
            (H, W); or a PIL image.
        what: the argument's name, for messages.

    Returns:
        Files and bytes unchanged, pixels as PNG.

    Raises:
        InvalidImageError: none of these, empty, or a file that cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        return _bytes_from_file(image, what)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _non_empty(bytes(image), what, "0 bytes")
    if isinstance(image, np.ndarray):
        return _png_from_array(image, what)
    # A PIL image can only exist where PIL has been imported already.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        return _png_from_pil(image, what)
    raise InvalidImageError(
        f"{what} is a {type(image).__name__}; allowed are a path, encoded bytes, a uint8 array "
        "(H, W, 3) or (H, W), and a PIL image. Convert it to one of these"
    )


async def encoded_async(image: ImageInput, what: str) -> bytes:
    """`encoded_image` off the event loop: files and PNGs may take longer than others can wait."""
    return await asyncio.to_thread(encoded_image, image, what)


def _bytes_from_file(path: str | os.PathLike[str], what: str) -> bytes:
    try:
        payload = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidImageError(
            f"{what} {os.fspath(path)!r} cannot be read: {reason}. Pass the path of a readable "
            "JPEG, PNG or WebP file"
        ) from error
    return _non_empty(payload, what, f"the file {os.fspath(path)!r}, 0 bytes long")


def _non_empty(payload: bytes, what: str, received: str) -> bytes:
    if not payload:
        raise InvalidImageError(
            f"{what} is {received}; expected an encoded JPEG, PNG or WebP image. "
            "Check what wrote it",
            code="EMPTY_IMAGE",
        )
    return payload


def _png_from_array(image: NDArray[Any], what: str) -> bytes:
    is_rgb = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (is_rgb or image.ndim == 2) or image.size == 0:
        raise InvalidImageError(
            f"{what} is an array of {image.dtype} with shape {image.shape}; allowed is uint8 with "
            f"shape (H, W, 3), RGB, or (H, W), grey, not empty. {_array_remedy(image)}"
        )
    from PIL import Image

    return _png(Image.fromarray(np.ascontiguousarray(image)))


def _array_remedy(image: NDArray[Any]) -> str:
    if image.size == 0:
        return "Check the slice that made it"
    if np.issubdtype(image.dtype, np.floating):
        return "Scale it to 0..255, round it and convert it with .astype(np.uint8)"
    if image.dtype != np.uint8:
        return "Bring its values to 0..255 and convert it with .astype(np.uint8)"
    if image.ndim == 4:
        return "Pass one image per call"
    if image.ndim == 3 and image.shape[2] == 4:
        return "Drop the alpha channel with image[..., :3]"
    if image.ndim == 3 and image.shape[2] == 1:
        return "Drop the last axis with image[..., 0]"
    if image.ndim == 3 and image.shape[0] == 3:
        return "Move the channels to the end with image.transpose(1, 2, 0)"
    return "Decode it to RGB first"


def _png_from_pil(image: Image.Image, what: str) -> bytes:
    if image.mode in _WIDE_MODES:
        raise InvalidImageError(
            f"{what} is a PIL image of mode {image.mode!r}; allowed are modes of 8 bits per "
            "channel. Scale it to 0..255 and convert it to 'L' or 'RGB'"
        )
    if 0 in image.size:
        raise InvalidImageError(
            f"{what} is a PIL image of size {image.size}; allowed is any size above 0. "
            "Check the crop that made it"
        )
    from PIL import ImageOps

    try:
        # PNG readers differ in whether they honour EXIF, so the pixels are turned upright here.
        upright = ImageOps.exif_transpose(image)
        return _png(upright.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken files
        raise InvalidImageError(
            f"{what} is a PIL image that cannot be decoded: {error}. Check the file behind it"
        ) from error


def _png(image: Image.Image) -> bytes:
    """PNG of an image that belongs to this module."""
    encoded = io.BytesIO()
    image.info.clear()  # no metadata travels with the pixels
    image.save(encoded, format="PNG", compress_level=_PNG_COMPRESS_LEVEL)
    return encoded.getvalue()
