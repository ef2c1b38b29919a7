# SPDX-License-Identifier: Apache-2.0
"""Who is enrolled, in memory; and changes that are planned together before they are written."""

from __future__ import annotations

import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.gallery.checks import MAX_TEMPLATES, too_many_templates
from mien_server.gallery.gallery import Existing, Page, Size, Subject
from mien_server.gallery.operations import Delete, Member, Operation, Put
from mien_server.gallery.rotation import TEMPLATE_COUNT

__all__ = ["Known", "Plan", "Roster", "subject_of", "unknown_subject"]

RECORD_BYTES = 80  # of a record, beside name, metadata and templates


class Roster:
    """Members of one gallery; one thread at a time may change it, or walk through it."""

    def __init__(self) -> None:
        self._by_name: dict[str, Member] = {}
        self._by_number: dict[int, Member] = {}
        self._numbers: list[int] = []  # ascending
        self._templates = self._texts_bytes = 0
        self.next_number = 0  # that nobody has had

    def member(self, name: str) -> Member | None:
        """By name."""
        return self._by_name.get(name)

    def member_of(self, number: int) -> Member | None:
        """By number; None where it was deleted. Any thread may ask."""
        return self._by_number.get(number)

    def size(self) -> Size:
        """How many there are."""
        return Size(len(self._by_name), self._templates)

    def record_bytes(self) -> int:
        """About what a file with nothing else in it takes."""
        templates = self._templates * TEMPLATE_COUNT * 4
        return templates + self._texts_bytes + len(self._by_name) * RECORD_BYTES

    def put(self, member: Member) -> None:
        """Enter a member, or another state of one."""
        before = self._by_number.get(member.number)
        if before is None:
            self._numbers.append(member.number)
        else:
            self._count(before, -1)
        self._by_name[member.name] = self._by_number[member.number] = member
        self._count(member, 1)
        self.next_number = max(self.next_number, member.number + 1)

    def remove(self, number: int) -> None:
        """Strike a member out."""
        member = self._by_number.pop(number)
        del self._by_name[member.name]
        del self._numbers[bisect_left(self._numbers, number)]
        self._count(member, -1)

    def page(self, after: int | None, limit: int) -> Page:
        """A part of the list."""
        start = 0 if after is None else bisect_right(self._numbers, after)
        numbers = self._numbers[start : start + limit]
        last = start + limit >= len(self._numbers)
        members = tuple(subject_of(self._by_number[number]) for number in numbers)
        return Page(members, None if last else numbers[-1])

    def _count(self, member: Member, sign: int) -> None:
        self._templates += sign * member.templates
        self._texts_bytes += sign * (len(member.name) + len(member.metadata))


class Known(Protocol):
    """What is there before a plan: a `Roster`, another `Plan`, or what a database has said."""

    next_number: int

    def member(self, name: str) -> Member | None:
        """By name."""
        ...


class Plan:
    """Changes that will be written together, each made knowing those before it.

    Args:
        before: what they change; where it is a plan, `absorb` then adds them to it.

    Attributes:
        operations: so far.
        next_number: that nobody will have had.
    """

    def __init__(self, before: Known) -> None:
        self.operations: list[Operation] = []
        self.next_number = before.next_number
        self._before = before
        self._changed: dict[str, Member | None] = {}

    def member(self, name: str) -> Member | None:
        """By name, as it will be."""
        return self._changed[name] if name in self._changed else self._before.member(name)

    def absorb(self, later: Plan) -> None:
        """Take over what was planned on top of this."""
        self.operations += later.operations
        self._changed |= later._changed
        self.next_number = later.next_number

    def enrol(
        self, name: str, templates: NDArray[np.float32], metadata: bytes | None, existing: Existing
    ) -> Member:
        """Enrol somebody.

        Args:
            name: checked.
            templates: (T, 512), turned.
            metadata: JSON, None for that which is there.
            existing: see `Gallery.enrol_many`.

        Raises:
            ServingError: SUBJECT_EXISTS, or INVALID_OPTION for too many templates.
        """
        there = self.member(name)
        if there is None:
            number, self.next_number = self.next_number, self.next_number + 1
            member = Member(number, name, time.time(), metadata or b"{}", len(templates))
            return self._put(member, templates, adds=False)
        if existing == "skip":
            return there
        if existing == "refuse":
            raise ServingError(
                "SUBJECT_EXISTS",
                f"{name} is enrolled already; delete it first, or say with `existing` whether to "
                "skip it, add to it or replace it",
            )
        adds = existing == "add"
        total = len(templates) + (there.templates if adds else 0)
        if total > MAX_TEMPLATES:
            raise too_many_templates(name, total)
        member = replace(
            there,
            metadata=there.metadata if metadata is None else metadata,
            enrolled_at=there.enrolled_at if adds else time.time(),
            templates=total,
        )
        return self._put(member, templates, adds=adds)

    def delete(self, name: str) -> Member:
        """Delete somebody; returns who that was.

        Raises:
            ServingError: UNKNOWN_SUBJECT.
        """
        member = self.member(name)
        if member is None:
            raise unknown_subject(name)
        self._changed[name] = None
        self.operations.append(Delete(member.number))
        return member

    def _put(self, member: Member, templates: NDArray[np.float32], *, adds: bool) -> Member:
        self._changed[member.name] = member
        self.operations.append(Put(member, templates, adds))
        return member


def subject_of(member: Member) -> Subject:
    """A member as others see it."""
    metadata: Mapping[str, object] = json.loads(member.metadata)
    return Subject(member.name, member.templates, member.enrolled_at, metadata)


def unknown_subject(name: str) -> ServingError:
    """The refusal of a name that nobody has."""
    return ServingError(
        "UNKNOWN_SUBJECT",
        f"nobody called {name!r:.140} is enrolled; list the gallery to see who is",
    )
