# SPDX-License-Identifier: Apache-2.0
"""Photographs of synthetic people: the same person and shot always give the same one.

Codes are DECA's 236, their camera that of the photograph: orthographic, image coordinates -1..1
over its whole side. Pixels have their centres at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_server.rendering.camera import pixels_from_image, project
from mien_starter.degradation import Degradation, degraded
from mien_starter.world.accessories import draw_accessory
from mien_starter.world.assets import Assets, default_assets
from mien_starter.world.background import draw_background
from mien_starter.world.composition import Compositor
from mien_starter.world.person import Person, draw_person, with_other_haircut
from mien_starter.world.shot import Shot, draw_shot

Array = npt.NDArray[Any]

# What a camera does to every photograph; training adds more.
CAMERA = Degradation(blur=0.12, noise=0.2, jpeg=0.25, grey=0.03)

# Share of photographs in which somebody wears their hair as they usually do not.
OTHER_HAIRCUT = 0.2


@dataclass(frozen=True)
class Photograph:
    """One photograph and all that is true of it.

    Attributes:
        image_rgb: (H, W, 3) uint8.
        identity: number of the person.
        codes: (236,) float32 in DECA's order.
        shape: (300,) float32, all coefficients; codes hold the first 100.
        expression: (100,) float32.
        pose: (15,) float32 radians.
        landmarks: (5, 2) float32 pixels.
        landmarks_68: (68, 2) float32 pixels, the contour as it is seen at this yaw.
        face_mask: (H, W) uint8, 1 where skin is seen.
        attributes: words and numbers about person and shot.
    """

    image_rgb: npt.NDArray[np.uint8]
    identity: int
    codes: npt.NDArray[np.float32]
    shape: npt.NDArray[np.float32]
    expression: npt.NDArray[np.float32]
    pose: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    landmarks_68: npt.NDArray[np.float32]
    face_mask: npt.NDArray[np.uint8]
    attributes: dict[str, float | int | str]


class World:
    """Makes photographs of one size.

    Args:
        size: side in pixels.
        assets: head and albedo space; the shipped ones by default.
    """

    def __init__(self, size: int = 256, assets: Assets | None = None) -> None:
        self.size = size
        self.assets = assets or default_assets()
        self._compositor = Compositor(self.assets)
        self._person = lru_cache(maxsize=4096)(lambda number: draw_person(number, self.assets))

    def person(self, identity: int) -> Person:
        """Who a number is."""
        return self._person(identity)

    def photograph(self, identity: int, shot: int) -> Photograph:
        """One person in one photograph, about 80 ms at 256 pixels.

        Args:
            identity: number of the person, see `mien_starter.splits`.
            shot: number of the photograph, 0 or more.
        """
        rng = np.random.default_rng([identity, shot, 2002])
        circumstances = draw_shot(self.assets, rng)
        person = self.person(identity)
        if rng.random() < OTHER_HAIRCUT:
            person = with_other_haircut(person, rng)
        return self.photograph_of(person, circumstances, rng)

    def photograph_of(
        self,
        person: Person,
        shot: Shot,
        rng: np.random.Generator,
        *,
        camera: Degradation = CAMERA,
        background: Array | None = None,
    ) -> Photograph:
        """A photograph of given circumstances.

        Args:
            person: who.
            shot: how.
            rng: of background, accessory and what the camera does.
            camera: what the camera does.
            background: (size, size, 3) float32 RGB 0..1; drawn by default.
        """
        vertices, landmarks = self.assets.decode(person.shape, shot.expression, shot.pose)
        if background is None:
            background = draw_background(self.size, rng)
        image, skin = self._compositor.render(person, shot, vertices, self.size, background)
        seen = project(landmarks[None], shot.camera[None])[0]
        points = pixels_from_image(seen, width=self.size, height=self.size) - 0.5
        image, skin = draw_accessory(image, skin, shot.accessory, points, rng)
        quantised = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
        return Photograph(
            image_rgb=degraded(quantised, camera, rng),
            identity=person.number,
            codes=codes_of(person, shot),
            shape=person.shape,
            expression=shot.expression,
            pose=shot.pose,
            landmarks=five_of(points),
            landmarks_68=points.astype(np.float32),
            face_mask=(skin > 0.5).astype(np.uint8),
            attributes=_attributes(person, shot),
        )

    def background(self, number: int) -> npt.NDArray[np.uint8]:
        """(size, size, 3) without a face."""
        rng = np.random.default_rng([number, 2003])
        image = np.round(draw_background(self.size, rng) * 255).astype(np.uint8)
        return degraded(image, CAMERA, rng)


def codes_of(person: Person, shot: Shot) -> npt.NDArray[np.float32]:
    """(236,) DECA's codes: what they cannot hold of shape, expression and pose is left out."""
    codes = np.concatenate(
        [
            person.shape[:100],
            person.texture,
            shot.expression[:50],
            shot.pose[:3],
            shot.pose[6:9],
            shot.camera,
            shot.light.ravel(),
        ]
    )
    return np.asarray(codes, np.float32)


def five_of(landmarks_68: Array) -> npt.NDArray[np.float32]:
    """(5, 2) eyes (the middle of the lids), nose tip and mouth corners out of (68, 2)."""
    eyes = landmarks_68[36:42].mean(axis=0), landmarks_68[42:48].mean(axis=0)
    return np.asarray([*eyes, *landmarks_68[[30, 48, 54]]], np.float32)


def _attributes(person: Person, shot: Shot) -> dict[str, float | int | str]:
    return {
        "gender": person.gender,
        "age": person.age,
        "african": float(person.ancestry[0]),
        "asian": float(person.ancestry[1]),
        "caucasian": float(person.ancestry[2]),
        "melanin": person.complexion.melanin,
        "haircut": person.haircut.name,
        "emotion": shot.emotion,
        "accessory": shot.accessory,
        "yaw_deg": shot.yaw_deg,
        "pitch_deg": shot.pitch_deg,
        "roll_deg": shot.roll_deg,
    }


__all__ = ["Photograph", "World", "five_of"]
