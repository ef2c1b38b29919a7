# SPDX-License-Identifier: Apache-2.0
"""Whether figures move as the paper says when t0 or w is moved.

Settings share people, seeds and styles, so that they are compared in pairs. How sure a difference
is comes from drawing the people anew (a bootstrap over people, 95 % intervals).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.morphface.figures import Figures
from bench.morphface.settings import SWEEPS

__all__ = ["CLAIMS", "Direction", "Interval", "directions_of", "interval_of_mean"]

# Measures (by the beginning of their names) and the sign of their change with t0 and with w
# (section D.4).
CLAIMS: Mapping[str, Mapping[str, int]] = {
    "intra_similarity": {"t0": 1, "w": 1},
    "identity_similarity": {"t0": 1, "w": 1},
    "intra_eir": {"t0": -1, "w": 1},
    "data_eir": {"t0": -1, "w": 1},
}
_LEAST = 1e-3  # change; smaller ones are none, however sure
_DRAWS, _SEED = 4000, 0
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and where it would lie with other people."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of its length."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Direction:
    """A figure along a sweep.

    Attributes:
        measure: name in `Figures.by_person`.
        sweep: "t0" or "w".
        sign: 1 where the paper has it rise, -1 where it has it fall.
        values: at each step of the sweep.
        change: from its first to its last step.
    """

    measure: str
    sweep: str
    sign: int
    values: tuple[float, ...]
    change: Interval

    @property
    def verdict(self) -> str:
        """In words; "not settled" where other people could turn it round."""
        if self.change.low <= 0 <= self.change.high or abs(self.change.mean) < _LEAST:
            return "not settled"
        if np.sign(self.change.mean) != self.sign:
            return "DOES NOT HOLD"
        if (self.sign * np.diff(self.values) > 0).all():
            return "holds"
        return "holds end to end, not at every step"


def interval_of_mean(values: NDArray[np.float64]) -> Interval:
    """Of (P,) values of people."""
    rng = np.random.default_rng(_SEED)
    draws = values[rng.integers(0, len(values), (_DRAWS, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, _INTERVAL)
    return Interval(float(values.mean()), float(low), float(high))


def directions_of(figures: Mapping[str, Figures]) -> list[Direction]:
    """All claims that can be looked at.

    Args:
        figures: by setting; a sweep of which one is missing is left out.
    """
    found = []
    for sweep, steps in SWEEPS.items():
        names = [name for _, name in steps]
        if not all(name in figures for name in names):
            continue
        along = [figures[name].by_person for name in names]
        for measure in along[0]:
            sign = next((c[sweep] for begin, c in CLAIMS.items() if measure.startswith(begin)), 0)
            if sign:
                values = tuple(float(step[measure].mean()) for step in along)
                change = interval_of_mean(along[-1][measure] - along[0][measure])
                found.append(Direction(measure, sweep, sign, values, change))
    return found
