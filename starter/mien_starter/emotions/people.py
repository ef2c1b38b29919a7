# SPDX-License-Identifier: Apache-2.0
"""People who each show emotions in a way of their own.

A person has a temper (all emotions stronger or weaker), a strength of each emotion and of each
unit, some of the optional units, a lopsidedness, and a pace at which each emotion grows. What sex
and age do is said in `expressiveness`; both can be seen in the shape of a head, so that a network
that is told the shape can know them.

Letters  N people, A facial actions, U units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.networks.emotion_mlp import EMOTIONS, NUM_EMOTION_SHAPE
from mien_starter.emotions.units import UNITS, prototype_units, unit_actions
from mien_starter.head.anny_source import ADULT_AGE
from mien_starter.world.assets import Assets
from mien_starter.world.person import MOST_DEVIATIONS

__all__ = ["People", "draw_people", "expressiveness"]

Floats = NDArray[np.float32]
_Draws = dict[str, NDArray[Any]]

_JOINS = 0.5  # of an optional unit: the tables give no frequencies
_TEMPER, _EMOTION, _UNIT, _JAW = 0.12, 0.12, 0.18, 0.35  # deviations of factors about 1
_LOPSIDED = 0.08  # deviation; a unit that is 1 + x on the left is 1 - x on the right
_PACE = 0.2  # deviation of the logarithm of the exponent of intensity
_WIDEST = 2.5  # deviations
_JAW_UNITS = ("26", "27")

# By how much women show an emotion more than the mean of both sexes, men less: which way follows
# McDuff et al. 2017, "A large-scale analysis of sex differences in facial expressions", how much
# is a choice.
_WOMEN = {"happiness": 0.12, "anger": -0.10, "sadness": 0.08, "fear": 0.08}
# By how much the young show everything more than the mean of all ages, the old less: Foelster,
# Hess and Werheid 2014, "Facial age affects emotional expression decoding", of lower expressivity.
_YOUNG = 0.15


@dataclass(frozen=True, eq=False)
class People:
    """Who they are and how they show emotions.

    Attributes:
        shape: (N, 50) the first coefficients of their heads.
        expressiveness: (N, 6) factors of what sex and age do, 1 on average.
        gains: (N, 6, A) intensity of each action where an emotion is shown in full, without that.
        paces: (N, 6) exponents of intensity; what starts early has less than 1.
    """

    shape: Floats
    expressiveness: Floats
    gains: Floats
    paces: Floats

    def __len__(self) -> int:
        return len(self.shape)


def draw_people(numbers: Sequence[int], assets: Assets) -> People:
    """The people of some numbers; a number is always the same person.

    Args:
        numbers: 0 or more each; see `mien_starter.splits` for who may be trained on.
        assets: says how shape follows from sex, age and ancestry.
    """
    drawn = [_draw(number, assets) for number in numbers]
    draws: _Draws = {name: np.stack([one[name] for one in drawn]) for name in drawn[0]}
    return People(
        draws["shape"].astype(np.float32),
        expressiveness(draws["gender"], draws["age"]).astype(np.float32),
        _gains(draws, assets).astype(np.float32),
        np.exp(_PACE * draws["pace"]).astype(np.float32),
    )


def expressiveness(gender: NDArray[Any], age: NDArray[Any]) -> NDArray[np.float64]:
    """How much stronger than the average person people of some sex and age show each emotion.

    Args:
        gender: (N,) 0 female, 1 male.
        age: (N,) anny's scale.

    Returns:
        (N, 6) factors.
    """
    youngest, oldest = ADULT_AGE
    older = 2 * (np.asarray(age) - youngest) / (oldest - youngest) - 1  # -1 to 1
    women = np.array([_WOMEN.get(emotion, 0.0) for emotion in EMOTIONS])
    of_sex = 1 + (1 - 2 * np.asarray(gender, np.float64))[:, None] * women
    factors: NDArray[np.float64] = of_sex * (1 - _YOUNG * older)[:, None]
    return factors


def _draw(number: int, assets: Assets) -> _Draws:
    """Everything random about a person; deviates are standard normal ones."""
    rng = np.random.default_rng([number, 2011])
    gender, age = float(rng.random() < 0.5), rng.uniform(*ADULT_AGE)
    ancestry = rng.dirichlet([0.45] * 3)
    row = np.array([1.0, gender, age, ancestry[0], ancestry[1]])
    count = NUM_EMOTION_SHAPE
    free = np.clip(rng.normal(size=count), -MOST_DEVIATIONS, MOST_DEVIATIONS)
    mean = assets.shape_from_attributes[:count] @ row
    return {
        "gender": np.array(gender),
        "age": np.array(age),
        "shape": mean + assets.shape_residual_std[:count] * free,
        "temper": _deviates(rng, 1),
        "emotion": _deviates(rng, len(EMOTIONS)),
        "unit": _deviates(rng, len(UNITS)),
        "lopsided": _deviates(rng, len(UNITS)),
        "pace": _deviates(rng, len(EMOTIONS)),
        "joins": rng.random((len(EMOTIONS), len(UNITS))) < _JOINS,
    }


def _deviates(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.clip(rng.normal(size=count), -_WIDEST, _WIDEST)


def _gains(draws: _Draws, assets: Assets) -> NDArray[np.float64]:
    """(N, 6, A)."""
    core, optional = prototype_units()
    actions, sides = unit_actions(assets.head.action_names)
    deviation = np.where(np.isin(UNITS, _JAW_UNITS), _JAW, _UNIT)
    person = (1 + _TEMPER * draws["temper"]) * (1 + _EMOTION * draws["emotion"])  # (N, 6)
    unit = 1 + deviation * draws["unit"]  # (N, U)
    strength = core + draws["joins"] * optional  # (N, 6, U)
    strength = strength * person[:, :, None] * unit[:, None, :]
    lopsided = _LOPSIDED * draws["lopsided"][:, None, :]
    gains: NDArray[np.float64] = strength @ actions + (strength * lopsided) @ (actions * sides)
    return gains
