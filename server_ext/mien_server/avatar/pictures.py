# SPDX-License-Identifier: Apache-2.0
"""Arrays as PNG files."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["encoded_png"]

# Pictures of skin hardly shrink further, and it takes time.
LEVEL = 3


def encoded_png(image_rgb: NDArray[Any]) -> bytes:
    """A PNG file.

    Args:
        image_rgb: (H, W, 3) uint8, or real numbers from 0 to 1.

    Raises:
        RuntimeError: OpenCV cannot write it.
    """
    pixels = image_rgb
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    bgr = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    done, png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])
    if not done:
        raise RuntimeError(f"OpenCV cannot write a PNG of {image_rgb.shape}")
    return bytes(png)
