# SPDX-License-Identifier: Apache-2.0
"""How somebody is photographed: expression, pose, gaze, camera, light, things before the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien_starter.world.assets import Assets
from mien_starter.world.illumination import draw_light

Array = npt.NDArray[Any]

# Metres from brows to chin on the mean head: what "the face fills" refers to.
FACE_HEIGHT_M = 0.132
FILLS = (0.34, 0.56)
ACCESSORIES = {"none": 0.83, "glasses": 0.10, "sunglasses": 0.03, "mask": 0.02, "hand": 0.02}


@dataclass(frozen=True)
class Shot:
    """One photograph's circumstances.

    Attributes:
        expression: (100,) coefficients.
        pose: (15,) radians: global, neck, jaw, left eye, right eye.
        camera: (3,) s, tx, ty of the image.
        light: (9, 3) spherical-harmonics coefficients.
        yaw_deg, pitch_deg, roll_deg: the turns that the global pose was made of; positive yaw
            turns the face to the image's right, positive pitch looks down, positive roll tilts the
            head to the image's left shoulder.
        emotion: the strongest one, or "neutral".
        accessory: of `ACCESSORIES`.
        gloss: strength of highlights on the skin.
    """

    expression: npt.NDArray[np.float32]
    pose: npt.NDArray[np.float32]
    camera: npt.NDArray[np.float32]
    light: npt.NDArray[np.float32]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    emotion: str
    accessory: str
    gloss: float


def draw_shot(assets: Assets, rng: np.random.Generator) -> Shot:
    """Draw the circumstances of one photograph."""
    actions, emotion = _draw_actions(assets, rng)
    expression, pose = assets.expression_of(actions)
    yaw = float(np.clip(rng.normal(0, 19), -55, 55))
    pitch = float(np.clip(rng.normal(1, 9), -25, 28))
    roll = float(np.clip(rng.normal(0, 8), -30, 30))
    pose[:3] = axis_angle(yaw, pitch, roll)
    return Shot(
        expression=expression.astype(np.float32),
        pose=pose.astype(np.float32),
        camera=_draw_camera(rng),
        light=draw_light(rng),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        emotion=emotion,
        accessory=str(rng.choice(list(ACCESSORIES), p=list(ACCESSORIES.values()))),
        gloss=float(rng.uniform(0.02, 0.22)),
    )


def axis_angle(yaw_deg: float, pitch_deg: float, roll_deg: float) -> npt.NDArray[np.float32]:
    """(3,) the rotation vector of a head that is turned, then nods, then tilts."""
    y, p, r = np.deg2rad([yaw_deg, pitch_deg, roll_deg])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    vector, _ = cv2.Rodrigues(tilt @ nod @ turn)
    return np.asarray(vector[:, 0], np.float32)


def _draw_camera(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    scale = 2 * rng.uniform(*FILLS) / FACE_HEIGHT_M
    # The middle of the face, a little below the origin, lands near the middle of the image.
    off = np.clip(rng.normal(0, 0.12, 2), -0.25, 0.25)
    return np.array([scale, off[0] / scale, 0.015 + off[1] / scale], np.float32)


def _draw_actions(assets: Assets, rng: np.random.Generator) -> tuple[Array, str]:
    names = list(assets.head.action_names)
    actions = np.zeros(len(names))
    emotion = "neutral"
    if rng.random() < 0.55:
        index = int(rng.integers(len(assets.head.emotion_names)))
        emotion = assets.head.emotion_names[index]
        personal = np.clip(rng.normal(1.0, 0.35, len(names)), 0, 1.8)
        strength = rng.uniform(0.25, 1.15)
        actions += strength * personal * assets.head.actions_from_emotions[:, index]
    for _ in range(int(rng.integers(0, 5))):
        actions[int(rng.integers(len(names)))] += abs(rng.normal(0, 0.35))
    if rng.random() < 0.25:
        actions[names.index("jawOpen")] += rng.uniform(0.05, 0.6)
    blink = 1.0 if rng.random() < 0.03 else rng.beta(1, 6) * 0.3
    _look(actions, names, rng)
    # The mean head's lids hang low for somebody who looks into a camera.
    awake = rng.uniform(0.0, 0.5)
    for side in ("Left", "Right"):
        actions[names.index(f"eyeBlink{side}")] += blink
        actions[names.index(f"eyeWide{side}")] += awake
    actions[names.index("tongueOut")] = 0.0
    # Lips cannot be closed farther than the jaw is open.
    close = names.index("mouthClose")
    actions[close] = min(actions[close], 0.7 * actions[names.index("jawOpen")])
    return np.clip(actions, 0.0, 1.1), emotion


def _look(actions: Array, names: list[str], rng: np.random.Generator) -> None:
    across, up = rng.normal(0, 0.28), rng.normal(0, 0.2)
    # Positive across looks to the image's right: out for the left eye, in for the right one.
    pairs = (("Out", "In"), ("In", "Out"))[across < 0]
    actions[names.index(f"eyeLook{pairs[0]}Left")] = abs(across)
    actions[names.index(f"eyeLook{pairs[1]}Right")] = abs(across)
    direction = "Up" if up > 0 else "Down"
    for side in ("Left", "Right"):
        actions[names.index(f"eyeLook{direction}{side}")] = abs(up)
