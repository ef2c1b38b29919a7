# SPDX-License-Identifier: Apache-2.0
"""FACS action units as facial actions of a head, and the units that make up each emotion.

Source   Ekman, Friesen and Hager 2002, *FACS Investigator's Guide*, table 10-1 (prototypes and
         major variants), for all but contempt; contempt is unilateral 12 and 14 as in Ekman and
         Friesen 1986, *A new pan-cultural facial expression of emotion*. The tables say which units
         belong to an emotion, not how often each variant is seen, and ARKit's actions are no FACS
         units: strengths are ours, set by looking at the faces.
Letters  A facial actions, U units.

Left out of the tables: 11 (the nasolabial furrow has no action), 22 (funnelled lips, the sculpted
action of which opens a mouth that is shut), 54 and 64 (head and eyes down: no expression).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.networks.emotion_mlp import EMOTIONS

__all__ = ["ACTIONS_OF_UNIT", "PROTOTYPES", "UNITS", "Prototype", "prototype_units", "unit_actions"]

Array = NDArray[Any]

# Unit -> intensities of ARKit's actions at its full strength; without "Left" and "Right" for both.
ACTIONS_OF_UNIT: Mapping[str, Mapping[str, float]] = {
    "1": {"browInnerUp": 1.0},
    "2": {"browOuterUp": 1.0},
    "4": {"browDown": 1.0, "noseSneer": 0.4},  # brows come together as well, above the nose
    "5": {"eyeWide": 1.0},
    "6": {"cheekSquint": 0.9, "eyeSquint": 0.4},
    "7": {"eyeSquint": 1.0},
    "10": {"mouthUpperUp": 0.6, "noseSneer": 0.4},
    "12": {"mouthSmile": 0.75},
    "14": {"mouthDimple": 0.9},
    "15": {"mouthFrown": 1.0},
    "17": {"mouthShrugLower": 0.8, "mouthFrown": 0.2},
    "20": {"mouthStretch": 0.9},
    # On this head pressed lips smile a little: a frown sets their corners level.
    "23": {"mouthPress": 0.25, "mouthRollLower": 0.4, "mouthRollUpper": 0.3, "mouthFrown": 0.35},
    "24": {"mouthPress": 0.35, "mouthRollUpper": 0.1, "mouthFrown": 0.35},
    "25": {"mouthUpperUp": 0.25, "mouthLowerDown": 0.35},
    "26": {"jawOpen": 0.42},
    "27": {"jawOpen": 0.84},
    "L10": {"mouthUpperUpLeft": 0.6, "noseSneerLeft": 0.3},
    "L12": {"mouthSmileLeft": 0.75},
    "L14": {"mouthDimpleLeft": 0.9},
}
UNITS = tuple(ACTIONS_OF_UNIT)


@dataclass(frozen=True)
class Prototype:
    """Units of an emotion and their strength where it is shown in full.

    Attributes:
        core: units that everybody shows.
        optional: units that are in some variants of the table; about half of all people have each.
    """

    core: Mapping[str, float]
    optional: Mapping[str, float] = field(default_factory=dict)


PROTOTYPES: Mapping[str, Prototype] = {
    "happiness": Prototype({"6": 0.95, "12": 1.0, "25": 0.85}, {"26": 0.4}),
    "anger": Prototype(
        {"4": 1.0, "5": 0.3, "7": 0.9, "23": 0.8}, {"10": 0.4, "17": 0.9, "24": 0.6}
    ),
    "sadness": Prototype({"1": 0.95, "4": 0.3, "15": 0.9}, {"6": 0.3, "17": 0.8, "25": 0.3}),
    "fear": Prototype(
        {"1": 0.95, "2": 0.5, "4": 0.35, "5": 0.95, "20": 0.85, "25": 0.9, "26": 0.5}, {"27": 0.25}
    ),
    # Of two mirror images of each other a slider can show one: it is the left one.
    "contempt": Prototype({"L12": 0.55, "L14": 0.9}, {"L10": 0.6}),
    "surprise": Prototype({"1": 0.95, "2": 0.95, "5": 0.8, "26": 1.0}, {"27": 0.6}),
}


def unit_actions(names: Sequence[str]) -> tuple[Array, Array]:
    """What each unit does.

    Args:
        names: A facial actions.

    Returns:
        (U, A) intensities at full strength of each of `UNITS`, and (A,) the side that each action
        of a unit is on: 1 the person's left, -1 the right, 0 both or the middle.

    Raises:
        ValueError: an action of a unit is not among them.
    """
    matrix, sides = np.zeros((len(UNITS), len(names))), np.zeros(len(names))
    for row, unit in enumerate(UNITS):
        for stem, intensity in ACTIONS_OF_UNIT[unit].items():
            found = [names.index(n) for n in (stem, f"{stem}Left", f"{stem}Right") if n in names]
            if not found:
                raise ValueError(f"unit {unit} needs the action {stem}; this head has none")
            matrix[row, found] = intensity
            for column in found:
                sides[column] = _side(names[column])
    return matrix, sides


def _side(action: str) -> float:
    return 1.0 if action.endswith("Left") else -1.0 if action.endswith("Right") else 0.0


def prototype_units() -> tuple[Array, Array]:
    """(6, U) strengths of core and of optional units, emotions in the order of `EMOTIONS`."""
    core, optional = np.zeros((2, len(EMOTIONS), len(UNITS)))
    for row, emotion in enumerate(EMOTIONS):
        for matrix, units in (
            (core, PROTOTYPES[emotion].core),
            (optional, PROTOTYPES[emotion].optional),
        ):
            for unit, strength in units.items():
                matrix[row, UNITS.index(unit)] = strength
    return core, optional
