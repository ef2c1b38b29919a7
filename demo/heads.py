# SPDX-License-Identifier: Apache-2.0
"""The part of a photograph that shows a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mien import Face

__all__ = ["head_of"]

# In sides of the face's box: hair needs room above.
HEAD_PER_FACE, HIGHER_BY = 2.4, 0.3


def head_of(photograph: Path, face: Face) -> Image.Image:
    """The square about a face, as far as the photograph reaches."""
    image = ImageOps.exif_transpose(Image.open(photograph)).convert("RGB")
    low, high = np.reshape(face.box_xyxy, (2, 2))
    face_px = float((high - low).max())
    side = min(HEAD_PER_FACE * face_px, *image.size)
    corner = (low + high - side) / 2 - (0, HIGHER_BY * face_px)
    left, top = np.clip(corner, 0, np.array(image.size) - side).tolist()
    box = (round(left), round(top), round(left + side), round(top + side))
    return image.crop(box)
