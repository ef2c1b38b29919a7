# SPDX-License-Identifier: Apache-2.0
"""All that a gallery holds, in memory: members and the rows of their templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien_server.gallery.gallery import Match
from mien_server.gallery.operations import Delete, Operation, Put, encoded
from mien_server.gallery.roster import Roster, subject_of
from mien_server.gallery.rotation import Rotation
from mien_server.gallery.template_rows import TemplateRows

__all__ = ["Contents"]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """Members and rows.

    Attributes:
        rows: of the members' templates.
        roster: the members.
    """

    rows: TemplateRows
    roster: Roster = field(default_factory=Roster)

    def apply(self, operation: Operation) -> None:
        """Make a change; searches see its templates once rows are published."""
        if isinstance(operation, Delete):
            self.roster.remove(operation.number)
            self.rows.lose(operation.number)
            return
        member = operation.member
        if not operation.adds and self.roster.member_of(member.number) is not None:
            self.rows.lose(member.number)
        self.rows.put(member.number, operation.templates)
        self.roster.put(member)

    def search(self, probe: NDArray[np.float32], top: int, threshold: float) -> tuple[Match, ...]:
        """Whom a (512,) turned probe resembles; nobody who is gone by the time of the answer."""
        matches = []
        for number, score in self.rows.view.nearest(probe, top):
            member = self.roster.member_of(number)
            if member is not None and score >= threshold:
                matches.append(Match(subject_of(member), score))
        return tuple(matches)

    def records(self) -> Iterator[bytes]:
        """What makes all of it again."""
        for number, templates in self.rows.by_owner():
            member = self.roster.member_of(number)
            if member is None:
                raise AssertionError(f"rows of a member {number} that is not there")
            yield encoded(Put(member, templates, adds=False))

    def turned(self, before: Rotation, after: Rotation) -> Contents:
        """The same under another rotation."""
        rows = self.rows.changed(lambda templates: after.turn(before.turn_back(templates)))
        return Contents(rows, self.roster)
