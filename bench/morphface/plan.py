# SPDX-License-Identifier: Apache-2.0
"""What a run makes, and that a folder holds one such plan only."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.morphface.settings import SETTINGS

__all__ = ["GROUPS", "Picture", "Plan", "first_seed", "keep_plan", "pictures_to_make"]

# Whose faces are made: people in photographs, and people whom nobody has seen.
GROUPS = ("photographed", "new")
PLAN_FILE = "plan.json"
_PEOPLE, _IMAGES = 2**16, 2**8  # at most, so that no two pictures share a seed


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the pictures follow from, but for the settings, of which some may be missing.

    Attributes:
        identities: people of each group.
        images: pictures of each person in each setting.
        seed: of people and pictures.
        max_similarity: that new people may have with each other.
        steps: of the solver; None is the server's default.
        solver: None likewise.
        data: folders of photographs.
        generator: digest of all weights behind the faces, and behind what reads them.
        untrained: random weights are among them.
    """

    identities: int
    images: int
    seed: int
    max_similarity: float | None
    steps: int | None
    solver: str | None
    data: tuple[str, ...]
    generator: str
    untrained: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """The pictures of one person in one setting."""

    group: str
    setting: str
    person: int


def pictures_to_make(
    plan: Plan, groups: Sequence[str], settings: Sequence[str]
) -> Iterator[Picture]:
    """Setting by setting, so that an early end leaves whole rows of the table."""
    for setting in (name for name in SETTINGS if name in settings):
        for group in (name for name in GROUPS if name in groups):
            for person in range(plan.identities):
                yield Picture(group, setting, person)


def first_seed(plan: Plan, picture: Picture) -> int:
    """Of a person's pictures: the same in every setting, so that settings are compared in pairs."""
    place = (plan.seed * len(GROUPS) + GROUPS.index(picture.group)) * _PEOPLE + picture.person
    return place * _IMAGES


def keep_plan(folder: Path, plan: Plan) -> None:
    """Begin a folder, or go on with it.

    Raises:
        ValueError: it was begun with another plan; says what differs.
    """
    path = folder / PLAN_FILE
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(plan)))
    if path.is_file():
        found = json.loads(path.read_text())
        names = [name for name in content if found.get(name) != content[name]]
        if names:
            differing = "; ".join(
                f"{name} was {found.get(name)!r}, now {content[name]!r}" for name in names
            )
            raise ValueError(
                f"{folder} was begun otherwise: {differing}. Give the same to go on, or another "
                "--out"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, content)


def write_json(path: Path, content: object) -> None:
    """Write a file that is whole or not there."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(unfinished, path)
