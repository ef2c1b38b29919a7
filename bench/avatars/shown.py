# SPDX-License-Identifier: Apache-2.0
"""Held-out people who show an emotion before a camera, from the front and from the side.

Their heads, skin, haircuts, cameras and light are the world's; how they show an emotion follows
`mien_starter.emotions`, so that the intensity is known and the true mesh with it. Nothing else
moves in their faces but their eyes.

Letters  V vertices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien_starter.emotions.faces import actions_shown
from mien_starter.emotions.people import draw_people, expressiveness
from mien_starter.splits import split_of
from mien_starter.world.assets import Assets
from mien_starter.world.person import Person
from mien_starter.world.shot import axis_angle, draw_shot
from mien_starter.world.world import World

__all__ = ["EMOTION_NAMES", "VIEWS_DEG", "Shown", "draw_shown"]

EMOTION_NAMES = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
# Yaw, to either side. Farther round the cascade finds hardly any face.
VIEWS_DEG = {"front": (0.0, 8.0), "side": (30.0, 45.0)}
INTENSITIES = (0.5, 1.0)
_STEADY = 0.5  # of the nods and tilts of other photographs
_JAW, _EYES = slice(6, 9), slice(9, 15)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A photograph of somebody who shows an emotion, and what is true of it.

    Attributes:
        identity: number of the person.
        emotion: its name.
        intensities: (6,) in the order of `EMOTION_NAMES`.
        view: of `VIEWS_DEG`.
        image_rgb: (H, W, 3) uint8.
        landmarks: (5, 2) in it, pixels counted from their corners.
        landmarks_68: (68, 2) likewise.
        shape: (300,) of the person.
        neutral: (V, 3) metres, the true head at rest.
        vertices: (V, 3) metres, the true head with its emotion, unturned.
    """

    identity: int
    emotion: str
    intensities: NDArray[np.float32]
    view: str
    image_rgb: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    landmarks_68: NDArray[np.float32]
    shape: NDArray[np.float32]
    neutral: NDArray[np.float32]
    vertices: NDArray[np.float32]


def draw_shown(identities: Sequence[int], emotions_each: int, world: World) -> Iterator[Shown]:
    """Photograph people; a number always gives the same ones.

    Args:
        identities: numbers of held-out people.
        emotions_each: how many each of them shows, 1 to 6.
        world: makes photographs.

    Raises:
        ValueError: somebody is of another split, or the count is not allowed.
    """
    if not 1 <= emotions_each <= len(EMOTION_NAMES):
        raise ValueError(f"emotions of each are {emotions_each}; allowed are 1 to 6")
    others = sorted({split_of(number) for number in identities} - {"held_out"})
    if others:
        raise ValueError(f"people are of the split {' and '.join(others)}; expected held_out")
    apart = len(EMOTION_NAMES) // emotions_each
    for turn, number in enumerate(identities):
        for step in range(emotions_each):
            emotion = (turn + step * apart) % len(EMOTION_NAMES)
            yield from _both_views(number, emotion, world)


def _both_views(number: int, emotion: int, world: World) -> Iterator[Shown]:
    rng = np.random.default_rng([number, emotion, 2012])
    person = world.person(number)
    intensities = np.zeros(len(EMOTION_NAMES), np.float32)
    intensities[emotion] = rng.uniform(*INTENSITIES)
    expression, jaw = _expression(person, intensities, world.assets)
    for view, (least, most) in VIEWS_DEG.items():
        shot = draw_shot(world.assets, rng)
        yaw = float(rng.choice([-1, 1]) * rng.uniform(least, most))
        pitch, roll = _STEADY * shot.pitch_deg, _STEADY * shot.roll_deg
        pose = np.zeros(15, np.float32)
        pose[_JAW], pose[_EYES] = jaw, shot.pose[_EYES]
        unturned = pose.copy()
        pose[:3] = axis_angle(yaw, pitch, roll)
        shot = replace(
            shot,
            expression=expression,
            pose=pose,
            yaw_deg=yaw,
            pitch_deg=pitch,
            roll_deg=roll,
            emotion=EMOTION_NAMES[emotion],
            accessory="none",
        )
        photograph = world.photograph_of(person, shot, rng)
        rest = np.zeros(100, np.float32), np.zeros(15, np.float32)
        yield Shown(
            identity=number,
            emotion=EMOTION_NAMES[emotion],
            intensities=intensities,
            view=view,
            image_rgb=photograph.image_rgb,
            landmarks=photograph.landmarks + 0.5,
            landmarks_68=photograph.landmarks_68 + 0.5,
            shape=person.shape,
            neutral=world.assets.decode(person.shape, *rest)[0],
            vertices=world.assets.decode(person.shape, expression, unturned)[0],
        )


def _expression(
    person: Person, intensities: NDArray[np.float32], assets: Assets
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(100,) coefficients and (3,) turn of the jaw of a person at these intensities."""
    ways = draw_people([person.number], assets)
    strength = expressiveness(np.array([person.gender]), np.array([person.age]))[0]
    actions = actions_shown(ways.gains[0] * strength[:, None], ways.paces[0], intensities)
    expression, pose = assets.expression_of(actions)
    return expression.astype(np.float32), pose[_JAW].astype(np.float32)
