# SPDX-License-Identifier: Apache-2.0
"""Who the people are: some in photographs of a data set, as many whom nobody has seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.morphface.plan import GROUPS, Plan, write_json
from bench.morphface.store import png_from_image
from mien import Client, NewIdentity, NoFaceError
from mien_starter.evaluation.landmarks import landmark_errors
from mien_starter.shards import Photographs

__all__ = ["MIN_PHOTOGRAPHS", "People", "RealPerson", "find_people"]

PEOPLE_FILE = "people.json"
MIN_PHOTOGRAPHS = 2  # a reference, and one to compare with
_SAME_FACE = 1.0  # a face that lies elsewhere is another one: in distances between the true eyes


@dataclass(frozen=True, slots=True)
class RealPerson:
    """Somebody in a data set.

    Attributes:
        identity: number of the person.
        reference: row of the photograph that the generator is shown.
        others: rows of the other photographs, by shot.
    """

    identity: int
    reference: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class People:
    """Those of both groups."""

    photographed: tuple[RealPerson, ...]
    new: tuple[NewIdentity, ...]


def find_people(
    folder: Path,
    plan: Plan,
    photographs: Photographs,
    client: Client,
    *,
    groups: Sequence[str] = GROUPS,
) -> People:
    """Choose people, once: what a folder holds is kept.

    Args:
        folder: of the run.
        plan: of the run.
        photographs: of `plan.data`.
        client: of the server.
        groups: that are wanted; those in photographs are chosen in any case.

    Raises:
        ValueError: the data set has too few people whose face the server finds.
        mien.MienError: the server cannot find as many new people, or does not answer.
    """
    path = folder / PEOPLE_FILE
    content = json.loads(path.read_text()) if path.is_file() else {}
    if "photographed" not in content:
        real = _referenced(plan.identities, photographs, client)
        content["photographed"] = [[person.identity, person.reference] for person in real]
        write_json(path, content)
    if "new" in groups and "new" not in content:
        sampled = client.sample_identities(
            plan.identities, seed=plan.seed, max_similarity=plan.max_similarity
        )
        content["new"] = list(sampled.seeds)
        write_json(path, content)
    rows = dict(_rows_of_people(photographs))
    return People(
        tuple(
            RealPerson(identity, reference, tuple(r for r in rows[identity] if r != reference))
            for identity, reference in content["photographed"]
        ),
        tuple(NewIdentity(seed) for seed in content.get("new", ())),
    )


def _rows_of_people(photographs: Photographs) -> Iterator[tuple[int, list[int]]]:
    """Number of each person, and the rows of their photographs, by shot."""
    identity, shot = (photographs.labels[name] for name in ("identity", "shot"))
    order = np.lexsort((shot, identity))
    people, starts = np.unique(identity[order], return_index=True)
    for person, rows in zip(people, np.split(order, starts[1:]), strict=True):
        yield int(person), [int(row) for row in rows]


def _referenced(count: int, photographs: Photographs, client: Client) -> list[RealPerson]:
    """The first people of whom a face is found, each with the first photograph where it is."""
    found: list[RealPerson] = []
    for identity, rows in _rows_of_people(photographs):
        if len(found) == count:
            break
        if len(rows) < MIN_PHOTOGRAPHS:
            continue
        reference = next((row for row in rows if _is_seen(photographs, row, client)), None)
        if reference is not None:
            found.append(RealPerson(identity, reference, ()))
    if len(found) < count:
        raise ValueError(
            f"the data has {len(found)} people with {MIN_PHOTOGRAPHS} photographs or more in which "
            f"the server finds a face; {count} are needed. Give more --data, or fewer --identities"
        )
    return found


def _is_seen(photographs: Photographs, row: int, client: Client) -> bool:
    """Whether the server finds the face, and not something else, in a photograph."""
    try:
        face = client.embed(png_from_image(photographs.image_rgb(row))).face
    except NoFaceError:
        return False
    true_5, true_68 = (photographs.labels[n][[row]] for n in ("landmarks", "landmarks_68"))
    return bool(landmark_errors(face.landmarks[None], true_5, true_68)[0] < _SAME_FACE)
