# SPDX-License-Identifier: Apache-2.0
"""People who pose an emotion or show it because they feel it, from onset to apex.

A person shows emotions in a way of their own (`mien_starter.emotions.people`), and has habits of
every cue, which are the same whether they pose or not: somebody's felt smile may be as lopsided as
somebody else's posed one.

Letters  A facial actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.emotions.people import draw_people, expressiveness
from mien_starter.spontaneity.actions import ActionGroups, apex_actions
from mien_starter.spontaneity.cues import draw_cues, draw_habits
from mien_starter.world.assets import Assets

__all__ = ["Expression", "Manner", "draw_expression", "manner_of"]

# Of the apex, how much there is at the onset; the same for both classes, for it is no cue.
TRACE = (0.0, 0.15)
_MIXTURE = (0.4, 1.6)  # of each stray action, about the strays' common strength


@dataclass(frozen=True, eq=False)
class Manner:
    """How one person shows emotions.

    Attributes:
        identity: number of the person.
        gains: (6, A) intensity of each action where an emotion is shown in full.
        habits: (6,) what the person adds to each cue, in the order of `CUES`.
    """

    identity: int
    gains: NDArray[np.float64]
    habits: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Expression:
    """One expression of one person.

    Attributes:
        emotion: index into `EMOTIONS`.
        is_spontaneous: False where it is posed.
        cues: (6,) in the order of `CUES`.
        onset: (A,) intensities of actions, a trace of the apex.
        apex: (A,) 0 to 1.
    """

    emotion: int
    is_spontaneous: bool
    cues: NDArray[np.float64]
    onset: NDArray[np.float64]
    apex: NDArray[np.float64]


def manner_of(identity: int, gender: float, age: float, assets: Assets) -> Manner:
    """The manner of a person; a number always has the same one.

    Args:
        identity: number of the person.
        gender: 0 female, 1 male.
        age: anny's scale.
        assets: with the head whose actions they are.
    """
    gains: NDArray[Any] = draw_people([identity], assets).gains[0].astype(np.float64)
    strength = expressiveness(np.array([gender]), np.array([age]))[0]
    rng = np.random.default_rng([identity, 2013])
    return Manner(identity, gains * strength[:, None], draw_habits(rng))


def draw_expression(
    manner: Manner,
    emotion: int,
    is_spontaneous: bool,
    rng: np.random.Generator,
    groups: ActionGroups,
) -> Expression:
    """Let a person pose or feel an emotion.

    Args:
        manner: of the person.
        emotion: index into `EMOTIONS`.
        is_spontaneous: False to pose.
        rng: of all that differs between two expressions of one person.
        groups: of the actions.

    Raises:
        ValueError: there is no such emotion.
    """
    if not 0 <= emotion < len(EMOTIONS):
        raise ValueError(f"emotion is {emotion}; it must be 0 to {len(EMOTIONS) - 1}")
    cues = draw_cues(manner.habits, is_spontaneous, rng)
    mixture = rng.uniform(*_MIXTURE, len(groups.sides))
    apex = apex_actions(manner.gains[emotion], emotion, cues, mixture, groups)
    return Expression(emotion, is_spontaneous, cues, rng.uniform(*TRACE) * apex, apex)
