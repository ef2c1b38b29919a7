# SPDX-License-Identifier: Apache-2.0
"""Contact sheets, and portraits for them: even light, a slight turn, nothing before the face.

Worlds for sheets are `OVERSAMPLE` times as large as the pictures, for smooth edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from mien_starter.degradation import Degradation
from mien_starter.world import World
from mien_starter.world.illumination import studio_light
from mien_starter.world.shot import FACE_HEIGHT_M, Shot, axis_angle

Picture = npt.NDArray[np.uint8]

OVERSAMPLE = 2
JPEG_QUALITY = 88
_FILLS = 0.40
_UNTOUCHED = Degradation()


def portrait(world: World, identity: int) -> Picture:
    """(size, size, 3) a calm portrait of a person."""
    rng = np.random.default_rng([identity, 2004])
    shot = calm_shot(yaw_deg=float(rng.uniform(-28, 28)), pitch_deg=float(rng.uniform(-4, 6)))
    grey = np.full((world.size, world.size, 3), rng.uniform(0.55, 0.8), np.float32)
    taken = world.photograph_of(
        world.person(identity), shot, rng, camera=_UNTOUCHED, background=grey
    )
    return taken.image_rgb


def bare_head(world: World, identity: int) -> Picture:
    """(size, size, 3) a head without hair and with the mean skin: shape is all there is to see."""
    rng = np.random.default_rng([identity, 2005])
    person = world.person(identity)
    bald = replace(
        person,
        texture=np.zeros_like(person.texture),
        haircut=replace(person.haircut, name="bald", length_m=0.0),
    )
    shot = calm_shot(yaw_deg=float(rng.uniform(-40, 40)), pitch_deg=0.0)
    ground = np.full((world.size, world.size, 3), 0.35, np.float32)
    return world.photograph_of(bald, shot, rng, camera=_UNTOUCHED, background=ground).image_rgb


def calm_shot(*, yaw_deg: float, pitch_deg: float) -> Shot:
    """A shot without expression in studio light."""
    pose = np.zeros(15, np.float32)
    pose[:3] = axis_angle(yaw_deg, pitch_deg, 0.0)
    scale = 2 * _FILLS / FACE_HEIGHT_M
    return Shot(
        expression=np.zeros(100, np.float32),
        pose=pose,
        camera=np.array([scale, 0.0, 0.0], np.float32),
        light=studio_light(),
        yaw_deg=yaw_deg,
        pitch_deg=pitch_deg,
        roll_deg=0.0,
        emotion="neutral",
        accessory="none",
        gloss=0.08,
    )


def sheet(pictures: Sequence[Picture], columns: int) -> Picture:
    """Pictures of one size side by side, at half their size.

    Args:
        pictures: (S, S, 3) each; a multiple of `columns`, S a multiple of `OVERSAMPLE`.
        columns: pictures in a row.

    Returns:
        (rows * S / OVERSAMPLE, columns * S / OVERSAMPLE, 3).
    """
    rows = [
        np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)
    ]
    large = np.vstack(rows)
    height, width = (side // OVERSAMPLE for side in large.shape[:2])
    return np.asarray(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def write_sheet(pictures: Sequence[Picture], columns: int, path: Path) -> None:
    """Write a sheet; the ending of the path decides the format.

    Raises:
        ValueError: Pillow knows no such ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet(pictures, columns)).save(path, quality=JPEG_QUALITY)
