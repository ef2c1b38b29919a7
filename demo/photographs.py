# SPDX-License-Identifier: Apache-2.0
"""The demo's photographs: those that scikit-image ships, and synthetic people."""

from pathlib import Path

import skimage.data
from PIL import Image, ImageEnhance

__all__ = ["write_people", "write_photographs"]

# Two people whom no network of ours was trained on: (identity, shot).
PEOPLE = {"bea_1": (110_010, 1), "bea_2": (110_010, 5), "carl": (110_007, 6)}
PEOPLE_PX = 512


def write_photographs(folder: Path) -> dict[str, Path]:
    """A portrait, the same one treated badly, and two pictures without a face.

    The portrait is NASA's of the astronaut Eileen Collins, in the public domain.
    """
    portrait = Image.fromarray(skimage.data.astronaut())
    turned = portrait.rotate(9, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90))
    darker = ImageEnhance.Brightness(turned).enhance(0.65).resize((420, 420))
    pictures = {
        "portrait": (portrait, 95),
        "turned_darker_recompressed": (darker, 35),
        "coffee": (Image.fromarray(skimage.data.coffee()), 90),
        "cat": (Image.fromarray(skimage.data.chelsea()), 90),
    }
    return _written(folder, pictures)


def write_people(folder: Path) -> dict[str, Path]:
    """Two photographs of one synthetic person and one of another."""
    from mien_starter.world import World

    world = World(PEOPLE_PX)
    pictures = {
        name: (Image.fromarray(world.photograph(*which).image_rgb), 92)
        for name, which in PEOPLE.items()
    }
    return _written(folder, pictures)


def _written(folder: Path, pictures: dict[str, tuple[Image.Image, int]]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.jpg" for name in pictures}
    for name, (picture, quality) in pictures.items():
        picture.save(paths[name], quality=quality)
    return paths
