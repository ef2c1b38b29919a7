# SPDX-License-Identifier: Apache-2.0
"""Which facial actions each cue moves, and what a face does at the apex of an expression.

Literature and choices are named in `mien_starter.spontaneity.cues`.

Letters  A facial actions; emotions are in the order of `EMOTIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.spontaneity.cues import CUES

__all__ = ["ABOUT_EYES", "RELUCTANT", "STRAYS", "ActionGroups", "action_groups", "apex_actions"]

Array = NDArray[Any]

# Names stand for the left and the right one where there are two.
ABOUT_EYES = ("cheekSquint", "eyeSquint", "eyeWide")
RELUCTANT: Mapping[str, tuple[str, ...]] = {
    "anger": ("mouthPress", "mouthRollLower", "mouthRollUpper"),
    "sadness": ("browInnerUp", "browDown"),
    "fear": ("browInnerUp", "browDown"),
}
# What these emotions do about the eyes: their prototypes do nothing there that all people show.
EYES_BESIDES: Mapping[str, Mapping[str, float]] = {
    "sadness": {"eyeSquint": 0.35, "cheekSquint": 0.2},
    "contempt": {"eyeSquint": 0.35, "cheekSquint": 0.15},
}
# Intensity of actions that do not belong, where the strays are at 1.
STRAYS: Mapping[str, Mapping[str, float]] = {
    "happiness": {"browInnerUp": 0.8, "browOuterUp": 0.9, "mouthDimple": 0.7, "mouthStretch": 0.5},
    "anger": {"noseSneer": 0.9, "mouthPucker": 0.7, "jawForward": 0.9, "browOuterUp": 0.5},
    "sadness": {"mouthPucker": 0.8, "mouthRollLower": 0.7, "noseSneer": 0.6, "mouthStretch": 0.6},
    "fear": {"noseSneer": 0.9, "mouthFrown": 0.9, "mouthShrugUpper": 0.5, "cheekSquint": 0.6},
    # It is meant for the left: at will few can keep the right still.
    "contempt": {"mouthSmileRight": 0.7, "mouthDimpleRight": 1.0, "browOuterUp": 0.7},
    "surprise": {"mouthSmile": 0.7, "mouthStretch": 0.6, "noseSneer": 0.5, "mouthUpperUp": 0.5},
}


@dataclass(frozen=True, eq=False)
class ActionGroups:
    """Actions by what moves them.

    Attributes:
        eyes: (6, A) whether the eyes' cue does.
        reluctant: (6, A) likewise.
        mouth: (6, A) likewise; no action is in two of these.
        strays: (6, A) intensities of those that do not belong, where strays are at 1.
        besides: (6, A) intensities about the eyes that the prototypes lack.
        sides: (A,) 1 for the person's left, -1 for the right, 0 for both.
    """

    eyes: NDArray[np.bool_]
    reluctant: NDArray[np.bool_]
    mouth: NDArray[np.bool_]
    strays: NDArray[np.float64]
    besides: NDArray[np.float64]
    sides: NDArray[np.float64]


def action_groups(names: Sequence[str]) -> ActionGroups:
    """Find the actions of all groups.

    Args:
        names: of the A actions of a head.

    Raises:
        ValueError: an action that is needed is not among them.
    """
    eyes = np.tile(_row(names, dict.fromkeys(ABOUT_EYES, 1.0)) > 0, (len(EMOTIONS), 1))
    reluctant = np.stack(
        [_row(names, dict.fromkeys(RELUCTANT.get(e, ()), 1.0)) > 0 for e in EMOTIONS]
    )
    is_low = np.array([name.startswith(("mouth", "jaw")) for name in names])
    return ActionGroups(
        eyes=eyes,
        reluctant=reluctant,
        mouth=is_low & ~reluctant,
        strays=np.stack([_row(names, STRAYS[e]) for e in EMOTIONS]),
        besides=np.stack([_row(names, EYES_BESIDES.get(e, {})) for e in EMOTIONS]),
        sides=np.array([n.endswith("Left") - 1.0 * n.endswith("Right") for n in names]),
    )


def apex_actions(
    gains: Array, emotion: int, cues: Array, mixture: Array, groups: ActionGroups
) -> NDArray[np.float64]:
    """What a face does where an expression is strongest.

    Args:
        gains: (A,) intensities where this person shows the emotion in full.
        emotion: index into `EMOTIONS`.
        cues: (6,) in the order of `CUES`.
        mixture: (A,) factors of the strays, about 1.
        groups: of the actions.

    Returns:
        (A,) intensities, 0 to 1.
    """
    cue = dict(zip(CUES, np.asarray(cues, np.float64), strict=True))
    logarithms = cue["intensity"] + sum(
        cue[name] * getattr(groups, name)[emotion] for name in ("eyes", "reluctant", "mouth")
    )
    own = (gains + groups.besides[emotion]) * np.exp(logarithms)
    foreign = groups.strays[emotion] * mixture * np.exp(cue["strays"])
    shown: NDArray[np.float64] = (own + foreign) * (1 + groups.sides * cue["lean"])
    return np.clip(shown, 0.0, 1.0)


def _row(names: Sequence[str], intensities: Mapping[str, float]) -> NDArray[np.float64]:
    row = np.zeros(len(names))
    for stem, intensity in intensities.items():
        found = [names.index(n) for n in (stem, f"{stem}Left", f"{stem}Right") if n in names]
        if not found:
            raise ValueError(f"the rules need the action {stem}; this head has none")
        row[found] = intensity
    return row
