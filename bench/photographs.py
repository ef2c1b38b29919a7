# SPDX-License-Identifier: Apache-2.0
"""What the bench sends: one portrait in two versions, as JPEG."""

from __future__ import annotations

import io

import skimage.data
from PIL import Image

__all__ = ["portraits", "portraits_of_many_sizes"]


def portraits() -> tuple[bytes, bytes]:
    """The astronaut at 512 x 512, and turned by 8 degrees at lower quality."""
    portrait = Image.fromarray(skimage.data.astronaut())
    turned = portrait.rotate(8, Image.Resampling.BICUBIC)
    return _jpeg(portrait, 92), _jpeg(turned, 70)


def portraits_of_many_sizes() -> list[bytes]:
    """The astronaut from 300 to 4000 pixels."""
    portrait = Image.fromarray(skimage.data.astronaut())
    return [_jpeg(portrait.resize((side, side)), 85) for side in (300, 512, 777, 1600, 2500, 4000)]


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
