# SPDX-License-Identifier: Apache-2.0
"""Emotions to look at: bald heads of synthetic people, drawn by the server's renderer.

Letters  P people, N faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien_export.networks.emotion_mlp import EMOTIONS, NUM_EMOTION_SHAPE
from mien_server.rendering.maps import make_scene, rgba_images
from mien_server.rendering.topology import Topology
from mien_starter.emotions.movements import Faces
from mien_starter.evaluation.networks import Predict
from mien_starter.world.assets import Assets
from mien_starter.world.illumination import studio_light
from mien_starter.world.person import draw_person

__all__ = ["INTENSITIES", "emotions_picture", "write_picture"]

Picture = NDArray[np.uint8]

INTENSITIES = (0.0, 0.5, 1.0)
_OVERSAMPLE, _AT_ONCE = 2, 8
_CAMERA = np.array([9.6, 0.0, 0.014], np.float32)  # brows to chin fill two thirds
_WIDTH = 0.78  # of a face's square that is kept
_LABEL_PX, _GROUND = 22, 0.86
_COLOURS, _REFINED = 192, 3  # of the stored picture: how many, and rounds of making them fit


def emotions_picture(
    predict: Predict, people: Sequence[int], assets: Assets, size: int = 150
) -> Picture:
    """One row for each emotion; for each person a column for each of `INTENSITIES`.

    Args:
        predict: emotions and shape to expression and pose.
        people: numbers of P of them.
        assets: their head and albedo space.
        size: height of a face, pixels.

    Returns:
        (height, width, 3) with labels.
    """
    sliders = [(row, intensity) for row in range(len(EMOTIONS)) for intensity in INTENSITIES]
    emotions = np.zeros((len(sliders), len(EMOTIONS)), np.float32)
    for index, (row, intensity) in enumerate(sliders):
        emotions[index, row] = intensity
    faces, topology = Faces(assets.head), Topology(assets.head.f, assets.head.vt, assets.head.ft)
    columns = []
    for number in people:
        person = draw_person(number, assets)
        shape = np.repeat(person.shape[None], len(sliders), axis=0)
        codes = np.concatenate(predict(emotions, shape[:, :NUM_EMOTION_SHAPE]), axis=1)
        vertices, _ = faces.decode(shape, codes)
        albedo = assets.albedo(person.texture).transpose(2, 0, 1)
        drawn = _drawn(vertices, albedo, topology, size)
        steps = len(INTENSITIES)
        columns += [np.vstack(drawn[start::steps]) for start in range(steps)]
    return _labelled(np.hstack(columns), size, len(people))


def write_picture(picture: Picture, path: Path) -> None:
    """Write a PNG of few colours, which makes it small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(picture).quantize(_COLOURS, kmeans=_REFINED, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def _drawn(vertices: NDArray[Any], albedo: NDArray[Any], topology: Topology, size: int) -> Any:
    """(N, size, _WIDTH size, 3) faces before a light ground."""
    side, pictures = _OVERSAMPLE * size, []
    for start in range(0, len(vertices), _AT_ONCE):
        part = vertices[start : start + _AT_ONCE]
        count = len(part)
        textures = np.repeat(albedo[None], count, axis=0)
        lights = np.repeat(studio_light()[None], count, axis=0)
        scene = make_scene(part, textures, np.repeat(_CAMERA[None], count, 0), lights, topology)
        rgba = rgba_images(scene, side)
        mixed = rgba[:, :3] * rgba[:, 3:] + _GROUND * (1 - rgba[:, 3:])
        pictures += list(np.rint(255 * mixed.transpose(0, 2, 3, 1)).astype(np.uint8))
    left = round((1 - _WIDTH) / 2 * size)
    small = (cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in pictures)
    return np.stack([image[:, left : size - left] for image in small])


def _labelled(faces: Picture, size: int, people: int) -> Picture:
    height, width = faces.shape[:2]
    font = ImageFont.load_default(size=0.6 * _LABEL_PX)
    margin = 4 * _LABEL_PX
    sheet = Image.new("RGB", (margin + width, _LABEL_PX + height), (round(255 * _GROUND),) * 3)
    sheet.paste(Image.fromarray(faces), (margin, _LABEL_PX))
    draw, step = ImageDraw.Draw(sheet), width / (people * len(INTENSITIES))
    for row, emotion in enumerate(EMOTIONS):
        place = (6.0, _LABEL_PX + (row + 0.5) * size)
        draw.text(place, emotion, fill="black", font=font, anchor="lm")
    for column, intensity in enumerate(INTENSITIES * people):
        place = (margin + (column + 0.5) * step, _LABEL_PX / 2)
        draw.text(place, f"{intensity:g}", fill="black", font=font, anchor="mm")
    return np.asarray(sheet, np.uint8)
