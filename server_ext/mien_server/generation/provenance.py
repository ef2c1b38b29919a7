# SPDX-License-Identifier: Apache-2.0
"""Images that say of themselves that they are synthetic, and how they came about.

The texts are PNG's own (tEXt chunks, PNG specification, section 11.3.3). They get lost where an
image is stored anew: whoever publishes it should say it again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

__all__ = ["png_with_provenance"]

SOFTWARE = "mien generate_faces"


def png_with_provenance(image_rgb: NDArray[np.uint8], facts: Mapping[str, Any]) -> bytes:
    """Encode an image; the same image and facts give the same bytes.

    Args:
        image_rgb: (H, W, 3).
        facts: what else is to be known, such as the seed; values become texts.

    Returns:
        A PNG with the texts ``Software``, ``synthetic`` and ``mien.NAME`` for each fact.
    """
    texts = PngInfo()
    texts.add_text("Software", SOFTWARE)
    texts.add_text("synthetic", "true")
    for name, value in facts.items():
        texts.add_text(f"mien.{name}", str(value))
    stream = io.BytesIO()
    Image.fromarray(image_rgb).save(stream, "PNG", pnginfo=texts)
    return stream.getvalue()
