# SPDX-License-Identifier: Apache-2.0
"""How well the two kinds of expressions can be told apart by those who know what faces did.

Letters  N expressions, A facial actions, C cues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.spontaneity.actions import RELUCTANT, action_groups
from mien_starter.spontaneity.cues import CUES, log_densities
from mien_starter.spontaneity.expressions import Manner, draw_expression, manner_of
from mien_starter.world.assets import Assets

__all__ = [
    "EACH",
    "Drawn",
    "classifier_error",
    "draw_many",
    "ideal_error",
    "ideal_error_of_cue",
    "observed",
]

Array = NDArray[Any]

EACH = 2 * len(EMOTIONS)  # every emotion, posed and felt
FOLDS = 10
_PENALTY = 1e-3  # on squared weights of the classifier
_CONSTANT = 1e-6  # deviation of a feature that says nothing
_LEAST = 0.02  # intensity that is added before logarithms and ratios are taken


@dataclass(frozen=True, eq=False)
class Drawn:
    """Many expressions.

    Attributes:
        identity: (N,).
        emotion: (N,) indices into `EMOTIONS`.
        is_spontaneous: (N,).
        cues: (N, C).
        habits: (N, C) of who shows them.
        apex: (N, A).
    """

    identity: NDArray[np.int64]
    emotion: NDArray[np.int64]
    is_spontaneous: NDArray[np.bool_]
    cues: NDArray[np.float64]
    habits: NDArray[np.float64]
    apex: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.identity)


def draw_many(people: range, each: int, assets: Assets) -> Drawn:
    """Each person's expressions: emotions in turn, half of them posed.

    Args:
        people: numbers.
        each: how many of each.
        assets: with the head.
    """
    groups = action_groups(assets.head.action_names)
    rows: list[tuple[Any, ...]] = []
    for number in people:
        rng = np.random.default_rng([number, 2015])
        manner: Manner = manner_of(number, float(rng.integers(2)), 0.8, assets)
        for turn in range(each):
            kind = (number * each + turn) % (2 * len(EMOTIONS))
            shown = draw_expression(manner, kind // 2, kind % 2 == 1, rng, groups)
            known = (number, shown.emotion, shown.is_spontaneous)
            rows.append((*known, shown.cues, manner.habits, shown.apex))
    columns = (np.array(column) for column in zip(*rows, strict=True))
    return Drawn(*columns)


def ideal_error(drawn: Drawn, *, knows_habits: bool) -> float:
    """Share that the likelihood ratio of all cues decides wrongly.

    Nobody who sees the actions does better: they follow from cues and from what is the same in
    both classes.

    Args:
        drawn: expressions.
        knows_habits: whether the observer knows the habits of everybody.
    """
    counts = _can_be_seen(drawn.emotion)
    return _error(drawn, (_ratios(drawn, knows_habits) * counts).sum(axis=1))


def ideal_error_of_cue(drawn: Drawn, cue: str) -> float:
    """Share that the likelihood ratio of one cue decides wrongly, where it can be seen."""
    column = CUES.index(cue)
    seen = _can_be_seen(drawn.emotion)[:, column]
    wrong = (_ratios(drawn, False)[:, column] > 0) != drawn.is_spontaneous
    return float(wrong[seen].mean())


def classifier_error(drawn: Drawn, names: Sequence[str]) -> float:
    """Share that a logistic regression on the actions at the apex gets wrong on other people.

    Of each emotion one, on logarithms of the intensities, on how far each pair of actions leans and
    the squares of both; ten folds of people.

    Args:
        drawn: expressions.
        names: of the A actions.
    """
    wrong = np.zeros(len(drawn), bool)
    for emotion in np.unique(drawn.emotion):
        rows = np.flatnonzero(drawn.emotion == emotion)
        fold = drawn.identity[rows] % FOLDS
        features = _features(drawn.apex[rows], names)
        for left_out in range(FOLDS):
            rest, test = fold != left_out, fold == left_out
            weights = _fitted(features[rest], drawn.is_spontaneous[rows[rest]])
            guess = features[test] @ weights > 0
            wrong[rows[test]] = guess != drawn.is_spontaneous[rows[test]]
    return float(wrong.mean())


def observed(people: range, assets: Assets) -> dict[str, float]:
    """Shares of errors of all observers, by what they know, over `EACH` expressions of people."""
    drawn = draw_many(people, EACH, assets)
    found = {
        "cues of the expression and habits of the person": ideal_error(drawn, knows_habits=True),
        "cues of the expression": ideal_error(drawn, knows_habits=False),
        "intensities of actions, by regression": classifier_error(drawn, assets.head.action_names),
    }
    return found | {f"{cue} alone": ideal_error_of_cue(drawn, cue) for cue in CUES}


def _ratios(drawn: Drawn, knows_habits: bool) -> NDArray[np.float64]:
    posed, spontaneous = log_densities(drawn.cues, drawn.habits if knows_habits else None)
    return np.asarray(spontaneous - posed)


def _can_be_seen(emotion: Array) -> NDArray[np.bool_]:
    """(N, C): the reluctant actions' cue moves nothing in emotions that have none."""
    seen = np.ones((len(emotion), len(CUES)), bool)
    has_reluctant = np.array([name in RELUCTANT for name in EMOTIONS])
    seen[:, CUES.index("reluctant")] = has_reluctant[emotion]
    return seen


def _error(drawn: Drawn, score: Array) -> float:
    return float(((score > 0) != drawn.is_spontaneous).mean())


def _features(apex: Array, names: Sequence[str]) -> NDArray[np.float64]:
    """(N, F) standardised, the last one 1."""
    left = [place for place, name in enumerate(names) if name.endswith("Left")]
    right = [names.index(names[place].removesuffix("Left") + "Right") for place in left]
    first, second = apex[:, left], apex[:, right]
    leans = (first - second) / (first + second + _LEAST)
    overall = (first - second).sum(axis=1) / ((first + second).sum(axis=1) + _LEAST)
    plain = np.column_stack([np.log(apex + _LEAST), leans, overall])
    plain = plain[:, plain.std(axis=0) > _CONSTANT]
    plain = (plain - plain.mean(axis=0)) / plain.std(axis=0)
    return np.column_stack([plain, plain**2 - 1, np.ones(len(apex))])


def _fitted(features: Array, target: Array) -> NDArray[np.float64]:
    sign = np.where(target, 1.0, -1.0)

    def loss(weights: Array) -> tuple[float, Array]:
        margin = sign * (features @ weights)
        slope = -sign / (1 + np.exp(np.clip(margin, -500, 500)))
        value = np.logaddexp(0, -margin).mean() + _PENALTY * (weights**2).sum()
        return float(value), features.T @ slope / len(sign) + 2 * _PENALTY * weights

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)
