# SPDX-License-Identifier: Apache-2.0
"""Real photographs: what scikit-image ships. The astronaut is NASA's, public domain."""

import io
from functools import cache

import numpy as np
import skimage.data
from PIL import Image, ImageEnhance

FACELESS = ("coffee", "rocket", "chelsea", "brick", "page", "moon", "coins", "camera")


@cache
def astronaut() -> Image.Image:
    """512 x 512; one frontal face, its eyes near (203, 105) and (248, 107)."""
    return Image.fromarray(skimage.data.astronaut())


def faceless(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


def altered_astronaut() -> Image.Image:
    """The same photograph turned by 8 degrees, darkened and smaller."""
    turned = astronaut().rotate(8, Image.Resampling.BICUBIC, expand=True)
    return ImageEnhance.Brightness(turned).enhance(0.7).resize((480, 480))


def two_faces() -> Image.Image:
    """Two astronauts side by side, the right one larger."""
    canvas = Image.new("RGB", (1100, 640), (90, 90, 90))
    canvas.paste(astronaut().resize((400, 400)), (0, 0))
    canvas.paste(astronaut().resize((640, 640)), (440, 0))
    return canvas


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **{"quality": 92, **options} if kind != "PNG" else options)
    return buffer.getvalue()


def lfw_crops() -> np.ndarray:
    """(200, 25, 25) float: 100 faces of Labeled Faces in the Wild, then 100 non-faces."""
    return skimage.data.lfw_subset()
