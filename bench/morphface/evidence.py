# SPDX-License-Identifier: Apache-2.0
"""Everything that a run has shown, measured from what it has left on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.morphface.directions import Direction, directions_of
from bench.morphface.features import feature_spaces
from bench.morphface.figures import Figures, measured, real_faces
from bench.morphface.making import ALL, PHOTOGRAPHS
from bench.morphface.plan import GROUPS, Plan
from bench.morphface.settings import SETTINGS
from bench.morphface.store import Store, all_faces

__all__ = ["PHOTOGRAPHS_ROW", "Evidence", "gathered"]

PHOTOGRAPHS_ROW = "photographs"  # in the place of generated pictures


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was measured.

    Attributes:
        plan: of the run.
        splits: that the photographed people belong to.
        covered: photographs of each person that should be covered.
        figures: group -> setting, or `PHOTOGRAPHS_ROW` -> figures.
        directions: group -> what was checked.
    """

    plan: Plan
    splits: tuple[str, ...]
    covered: int
    figures: Mapping[str, Mapping[str, Figures]]
    directions: Mapping[str, list[Direction]]


def gathered(
    folder: Path,
    plan: Plan,
    splits: tuple[str, ...],
    *,
    groups: Sequence[str],
    settings: Sequence[str],
) -> Evidence:
    """Measure what is in a folder.

    Args:
        folder: of a run that has ended.
        plan: of the run.
        splits: of the people in the photographs.
        groups: that are wanted.
        settings: that are wanted.
    """
    store, numbers = Store(folder), range(plan.identities)
    real = real_faces([store.read(PHOTOGRAPHS, ALL, person) for person in numbers], plan.images)
    spaces = feature_spaces(all_faces(real.covered))
    found: dict[str, Mapping[str, Figures]] = {}
    for group in (name for name in GROUPS if name in groups):
        rows = {}
        for setting in (name for name in SETTINGS if name in settings):
            faces = [store.read(group, setting, person) for person in numbers]
            rows[setting] = measured(
                faces, real.covered, spaces, are_the_same=group == "photographed"
            )
        if real.stand_in:
            rows[PHOTOGRAPHS_ROW] = measured(
                real.stand_in, real.covered, spaces, are_the_same=group == "photographed"
            )
        found[group] = rows
    directions = {group: directions_of(rows) for group, rows in found.items()}
    return Evidence(plan, splits, len(real.covered[0]), found, directions)
