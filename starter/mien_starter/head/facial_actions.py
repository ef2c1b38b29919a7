# SPDX-License-Identifier: Apache-2.0
"""What facial actions and emotions mean for a head: joints they turn, and FACS units of emotions.

Actions bear ARKit's names. Emotions are those of the emotion model, in its order; the action units
(AU) of each are those that Ekman and Friesen's FACS investigator's guide (2002) lists for
prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.head.skinning import JAW_OPEN_RAD

Array = npt.NDArray[Any]

_NECK_END = 6  # pose: global 0:3, neck 3:6, jaw 6:9, left eye 9:12, right eye 12:15
_JAW, _LEFT_EYE, _RIGHT_EYE = _NECK_END, 9, 12
_ACROSS, _UP_DOWN = np.deg2rad(28.0), np.deg2rad(22.0)

# Element of the pose and radians at intensity 1; positive about x looks down, about y to the left
# of the person (the image's right).
POSE_OF_ACTION: Mapping[str, tuple[int, float]] = {
    "jawOpen": (_JAW, float(JAW_OPEN_RAD)),
    "eyeLookUpLeft": (_LEFT_EYE, -_UP_DOWN),
    "eyeLookDownLeft": (_LEFT_EYE, _UP_DOWN),
    "eyeLookInLeft": (_LEFT_EYE + 1, -_ACROSS),
    "eyeLookOutLeft": (_LEFT_EYE + 1, _ACROSS),
    "eyeLookUpRight": (_RIGHT_EYE, -_UP_DOWN),
    "eyeLookDownRight": (_RIGHT_EYE, _UP_DOWN),
    "eyeLookInRight": (_RIGHT_EYE + 1, _ACROSS),
    "eyeLookOutRight": (_RIGHT_EYE + 1, -_ACROSS),
}

_BOTH = {
    "AU1": {"browInnerUp": 0.9},
    "AU2": {"browOuterUp": 0.9},
    "AU4": {"browDown": 0.9},
    "AU5": {"eyeWide": 0.9},
    "AU6": {"cheekSquint": 0.8, "eyeSquint": 0.3},
    "AU7": {"eyeSquint": 0.8},
    "AU9": {"noseSneer": 0.5},
    "AU12": {"mouthSmile": 0.9},
    "AU14": {"mouthDimple": 0.9},
    "AU15": {"mouthFrown": 0.9},
    "AU17": {"mouthShrugLower": 0.6},
    "AU20": {"mouthStretch": 0.8},
    "AU23": {"mouthPress": 0.7},
    "AU25": {"mouthLowerDown": 0.2},
    "AU26": {"jawOpen": 0.45},
}
EMOTIONS: Mapping[str, Mapping[str, float]] = {
    "happiness": {"AU6": 1.0, "AU12": 1.0, "AU25": 0.8},
    "anger": {"AU4": 1.0, "AU5": 0.5, "AU7": 0.8, "AU23": 1.0, "AU9": 0.4},
    "sadness": {"AU1": 1.0, "AU4": 0.4, "AU15": 1.0, "AU17": 0.8},
    "fear": {"AU1": 1.0, "AU2": 0.6, "AU4": 0.5, "AU5": 1.0, "AU20": 0.9, "AU26": 0.7},
    "contempt": {},
    "surprise": {"AU1": 1.0, "AU2": 1.0, "AU5": 0.9, "AU26": 1.3},
}
# The one emotion that is shown on one side: R12A + R14A.
_ONE_SIDED = {"contempt": {"mouthSmileLeft": 0.45, "mouthDimpleLeft": 0.9, "cheekSquintLeft": 0.2}}


def pose_from_actions(names: Sequence[str]) -> Array:
    """(15, A) pose in radians per unit of each action."""
    matrix = np.zeros((15, len(names)))
    for name, (element, angle) in POSE_OF_ACTION.items():
        matrix[element, names.index(name)] = angle
    return matrix


def actions_from_emotions(names: Sequence[str]) -> Array:
    """(A, 6) intensity of each action at intensity 1 of each emotion."""
    matrix = np.zeros((len(names), len(EMOTIONS)))
    for column, (emotion, units) in enumerate(EMOTIONS.items()):
        for unit, strength in units.items():
            for stem, intensity in _BOTH[unit].items():
                for name in (stem, f"{stem}Left", f"{stem}Right"):
                    if name in names:
                        matrix[names.index(name), column] += strength * intensity
        for name, intensity in _ONE_SIDED.get(emotion, {}).items():
            matrix[names.index(name), column] += intensity
    return np.clip(matrix, 0.0, 1.0)
