# SPDX-License-Identifier: Apache-2.0
"""The demo's photographs, from those that scikit-image ships."""

from pathlib import Path

import skimage.data
from PIL import Image, ImageEnhance

__all__ = ["write_photographs"]


def write_photographs(folder: Path) -> dict[str, Path]:
    """A portrait, the same one treated badly, and two pictures without a face.

    The portrait is NASA's of the astronaut Eileen Collins, in the public domain.
    """
    folder.mkdir(parents=True, exist_ok=True)
    portrait = Image.fromarray(skimage.data.astronaut())
    turned = portrait.rotate(9, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90))
    darker = ImageEnhance.Brightness(turned).enhance(0.65).resize((420, 420))
    pictures = {
        "portrait": (portrait, 95),
        "turned_darker_recompressed": (darker, 35),
        "coffee": (Image.fromarray(skimage.data.coffee()), 90),
        "cat": (Image.fromarray(skimage.data.chelsea()), 90),
    }
    paths = {}
    for name, (picture, quality) in pictures.items():
        paths[name] = folder / f"{name}.jpg"
        picture.save(paths[name], quality=quality)
    return paths
