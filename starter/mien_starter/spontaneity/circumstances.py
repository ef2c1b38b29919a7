# SPDX-License-Identifier: Apache-2.0
"""What changes between two frames of one recording, and what does not.

Person, place, clothes, hair and glasses stay. Light, pose, distance, blinks and gaze change, by the
same rules for posed and spontaneous expressions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.spontaneity.expressions import Expression
from mien_starter.world.assets import Assets
from mien_starter.world.illumination import draw_light
from mien_starter.world.shot import FACE_HEIGHT_M, Shot, axis_angle

__all__ = ["Frames", "draw_frames"]

_FILLS = (0.44, 0.58)  # of the picture's height, brows to chin
_GLASSES = 0.1
# Deviations and bounds in degrees of yaw, pitch and roll: of the recording, and from its onset to
# its apex.
_POSE, _POSE_BOUNDS = np.array([6.0, 4.0, 3.0]), np.array([15.0, 10.0, 8.0])
_TURN, _TURN_BOUNDS = np.array([2.5, 2.0, 1.5]), np.array([6.0, 5.0, 4.0])
_OFF, _DRIFT, _NEARER = 0.06, 0.02, 0.02  # deviations: of the picture, of it, of the scale
_OTHER_LIGHT = (0.15, 0.5)  # share of the apex's light that is new
_EXPOSURE = 0.85  # of the world's light, which leaves no grain in fair skin where it is brightest
_BRIGHTER = 0.1  # deviation of the logarithm
_AWAKE = (0.0, 0.5)  # how wide a person's eyes are open; the mean head's lids hang low
_BLINK, _LIDS = 0.02, 0.3  # share of frames in mid-blink; how low lids hang in others at most
_GAZE = np.array([0.15, 0.10])  # deviations across and up, shares of the farthest


@dataclass(frozen=True, eq=False)
class Frames:
    """Shots of onset and apex.

    Attributes:
        onset: how the first picture is taken.
        apex: how the second is.
    """

    onset: Shot
    apex: Shot


def draw_frames(expression: Expression, assets: Assets, rng: np.random.Generator) -> Frames:
    """Draw how somebody is recorded who shows an expression.

    Args:
        expression: what the face does.
        assets: with the head.
        rng: of everything else.
    """
    scale = 2 * rng.uniform(*_FILLS) / FACE_HEIGHT_M
    off = np.clip(rng.normal(0, _OFF, 2), -0.12, 0.12)
    angles: NDArray[Any] = np.clip(rng.normal(0, _POSE), -_POSE_BOUNDS, _POSE_BOUNDS)
    first = Shot(
        expression=np.zeros(100, np.float32),
        pose=np.zeros(15, np.float32),
        camera=_camera(scale, off),
        light=np.asarray(_EXPOSURE * draw_light(rng), np.float32),
        yaw_deg=0.0,
        pitch_deg=0.0,
        roll_deg=0.0,
        emotion=EMOTIONS[expression.emotion],
        accessory="glasses" if rng.random() < _GLASSES else "none",
        gloss=float(rng.uniform(0.02, 0.22)),
    )
    share = rng.uniform(*_OTHER_LIGHT)
    light = (1 - share) * first.light + share * _EXPOSURE * draw_light(rng)
    second = replace(
        first,
        camera=_camera(scale * (1 + rng.normal(0, _NEARER)), off + rng.normal(0, _DRIFT, 2)),
        light=np.asarray(light * np.exp(rng.normal(0, _BRIGHTER)), np.float32),
    )
    turn = np.clip(rng.normal(0, _TURN), -_TURN_BOUNDS, _TURN_BOUNDS)
    awake = rng.uniform(*_AWAKE)
    return Frames(
        _posed(first, expression.onset, angles, awake, assets, rng),
        _posed(second, expression.apex, angles + turn, awake, assets, rng),
    )


def _camera(scale: float, off: NDArray[Any]) -> NDArray[np.float32]:
    return np.array([scale, off[0] / scale, 0.015 + off[1] / scale], np.float32)


def _posed(
    shot: Shot,
    shown: NDArray[np.float64],
    angles: NDArray[Any],
    awake: float,
    assets: Assets,
    rng: np.random.Generator,
) -> Shot:
    """A shot of a head that is turned, does what it shows, looks somewhere and may blink."""
    names = list(assets.head.action_names)
    actions = shown.copy()
    lids = 1.0 if rng.random() < _BLINK else rng.beta(1, 6) * _LIDS
    for side in ("Left", "Right"):
        actions[names.index(f"eyeBlink{side}")] += lids
        actions[names.index(f"eyeWide{side}")] += awake
    _look(actions, names, rng.normal(0, _GAZE))
    expression, pose = assets.expression_of(np.clip(actions, 0.0, 1.1))
    yaw, pitch, roll = (float(angle) for angle in angles)
    pose[:3] = axis_angle(yaw, pitch, roll)
    return replace(
        shot,
        expression=expression.astype(np.float32),
        pose=pose.astype(np.float32),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
    )


def _look(actions: NDArray[np.float64], names: list[str], gaze: NDArray[np.float64]) -> None:
    across, up = (float(part) for part in gaze)
    left, right = ("Out", "In") if across > 0 else ("In", "Out")  # to the image's right or left
    level = "Up" if up > 0 else "Down"
    actions[names.index(f"eyeLook{left}Left")] = abs(across)
    actions[names.index(f"eyeLook{right}Right")] = abs(across)
    for side in ("Left", "Right"):
        actions[names.index(f"eyeLook{level}{side}")] = abs(up)
