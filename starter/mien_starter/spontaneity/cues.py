# SPDX-License-Identifier: Apache-2.0
"""How posed and spontaneous expressions differ at their apex: six cues and how they are spread.

eyes        The muscle about the eye joins in felt smiles and is mostly absent from posed ones:
            Ekman, Davidson and Friesen 1990, *The Duchenne smile*; Frank, Ekman and Friesen 1993,
            *Behavioral markers and recognizability of the smile of enjoyment*.
reluctant   Few can move the inner brows or tighten the lips at will, so where grief, fear and anger
            are posed these stay weak: Ekman 2003, *Darwin, deception, and facial expression*;
            Mehu et al. 2012, *Reliable facial muscle activation enhances recognizability and
            credibility of emotional expression*.
mouth       The lower face obeys better than the upper: Rinn 1984, *The neuropsychology of facial
            expression*. Posed smiles move the corners of the mouth farther: Schmidt et al. 2006,
            *Movement differences between deliberate and spontaneous facial expressions*.
lean        Deliberate actions are more often asymmetric, and smiles among them stronger on the
            left; emotional ones lean seldom and to either side: Ekman, Hager and Friesen 1981,
            *The symmetry of emotional and deliberate facial actions*.
strays      Actions that are no part of the emotion, such as the traces of another one behind a
            false smile: Ekman and Friesen 1982, *Felt, false, and miserable smiles*.
intensity   Posed brow raises are larger, as smiles are: Schmidt, Bhattacharya and Denlinger 2009,
            *Comparison of deliberate and spontaneous facial movement in smiles and eyebrow raises*.

Against     Schmidt and her colleagues found no more asymmetry in posed smiles, in either paper;
            Namba et al. 2017, *Spontaneous facial expressions are different from posed facial
            expressions*, found traces of other emotions in felt disgust.
Ours        every number; that cues are independent of each other and spread alike in all emotions;
            that the eyes' part, found for smiles, is played in the others by what those do about
            the eyes; which actions stray; leaning left beyond smiles; that all emotions are
            stronger where they are posed, not only smiles and raised brows. Timing, by which the
            two are told apart best, is not in a pair of photographs.
Letters     N expressions, C cues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CUES", "SPREADS", "Spread", "draw_cues", "draw_habits", "log_densities"]

Array = NDArray[Any]

POSED, SPONTANEOUS = 0, 1
_WIDEST = 2.5  # deviations of a habit


@dataclass(frozen=True)
class Spread:
    """Normal distributions of one cue in posed and in spontaneous expressions.

    Attributes:
        means: posed, spontaneous.
        deviations: posed, spontaneous, of one person's expressions.
        habit: deviation of what a person adds to both means.
    """

    means: tuple[float, float]
    deviations: tuple[float, float]
    habit: float


def _factor(posed: float, spontaneous: float, deviation: float, habit: float) -> Spread:
    """Of the logarithm of a factor, from its medians."""
    means = float(np.log(posed)), float(np.log(spontaneous))
    return Spread(means, (deviation, deviation), habit)


# All are logarithms of factors but the lean x: an action is 1 + x on the left, 1 - x on the right.
SPREADS: dict[str, Spread] = {
    "eyes": _factor(0.56, 1.00, 0.33, 0.15),
    "reluctant": _factor(0.60, 1.00, 0.35, 0.12),
    "mouth": _factor(1.15, 0.85, 0.20, 0.08),
    "lean": Spread((0.05, 0.0), (0.20, 0.055), 0.04),
    "strays": _factor(0.25, 0.12, 0.55, 0.25),
    "intensity": _factor(0.85, 0.68, 0.22, 0.05),
}
CUES = tuple(SPREADS)
_MEANS, _DEVIATIONS = (
    np.array([getattr(spread, name) for spread in SPREADS.values()]).T
    for name in ("means", "deviations")
)
_HABITS = np.array([spread.habit for spread in SPREADS.values()])


def draw_habits(rng: np.random.Generator) -> NDArray[np.float64]:
    """(C,) what one person adds to every cue, posed or not."""
    return np.asarray(_HABITS * np.clip(rng.normal(size=len(CUES)), -_WIDEST, _WIDEST))


def draw_cues(habits: Array, is_spontaneous: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    """(C,) cues of one expression of a person with (C,) habits, in the order of `CUES`."""
    row = int(is_spontaneous)
    drawn: NDArray[np.float64] = rng.normal(_MEANS[row] + habits, _DEVIATIONS[row])
    return drawn


def log_densities(cues: Array, habits: Array | None = None) -> NDArray[np.float64]:
    """How probable cues are.

    Args:
        cues: (N, C).
        habits: (N, C) of those who show them; unknown by default, which spreads cues wider.

    Returns:
        (2, N, C) logarithms of densities, posed and spontaneous.
    """
    known = habits is not None
    centres = _MEANS[:, None] + (habits if known else 0.0)
    variances = _DEVIATIONS[:, None] ** 2 + (0.0 if known else _HABITS**2)
    found: NDArray[np.float64] = -0.5 * (
        (np.asarray(cues) - centres) ** 2 / variances + np.log(2 * np.pi * variances)
    )
    return found
