# SPDX-License-Identifier: Apache-2.0
"""Turned templates in memory, and the search in them.

One thread at a time changes them; any number search meanwhile, each in the view that was there when
it began. A view never changes: rows that come are beyond its end, and who loses rows loses
them in a copy of the list of owners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.gallery.approximate import ApproximateIndex
from mien_server.gallery.rotation import TEMPLATE_COUNT

__all__ = ["TemplateRows", "View"]

EXACT_BELOW = 8192  # rows that are compared one by one in about a millisecond
TAIL = 4096  # so many new rows are compared one by one before the index takes them in
MOST_DEAD = 1024  # rows of nobody, before the others are packed
NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Rows at one moment.

    Attributes:
        templates: (capacity, 512), of which the first `count` are meant.
        owners: (capacity,) numbers of members, -1 for rows of nobody.
        count: of rows.
        dead: how many of them are nobody's.
        index: of the first of them; None where there are few.
    """

    templates: NDArray[np.float32]
    owners: NDArray[np.int64]
    count: int
    dead: int
    index: ApproximateIndex | None

    def nearest(self, probe: NDArray[np.float32], top: int) -> list[tuple[int, float]]:
        """Members by their most similar row.

        Args:
            probe: (512,), turned.
            top: at most so many.

        Returns:
            Numbers of members and cosines, the largest first.
        """
        if self.index is None:
            return _best(self.templates[: self.count] @ probe, self.owners[: self.count], top)
        indexed = len(self.index)
        tail = np.arange(indexed, self.count)
        wanted = max(1024, min(indexed // 32, 8192), 4 * top) + self.dead
        while True:
            # Sorted, rows are fetched from memory in its order.
            rows = np.concatenate([np.sort(self.index.candidates(probe, wanted)), tail])
            found = _best(self.templates[rows] @ probe, self.owners[rows], top)
            if len(found) == top or wanted >= indexed:
                return found
            wanted *= 4


class TemplateRows:
    """The rows of one gallery.

    Attributes:
        view: what searches see; changed by `publish` alone.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._templates = np.empty((capacity, TEMPLATE_COUNT), np.float32)
        self._owners = np.empty(capacity, np.int64)
        self._count = 0
        self._lost: dict[int, int] = {}  # number of a member -> rows before this one are nobody's
        self.view = View(self._templates, self._owners, 0, 0, None)

    def reserve(self, count: int) -> None:
        """Have room for so many more rows.

        Raises:
            MemoryError: there is none.
        """
        if self._count + count > len(self._owners):
            self._grow(self._count + count)

    def put(self, owner: int, templates: NDArray[np.float32]) -> None:
        """Add rows."""
        end = self._count + len(templates)
        if end > len(self._owners):
            self._grow(end)
        self._templates[self._count : end] = templates
        self._owners[self._count : end] = owner
        self._count = end

    def lose(self, owner: int) -> None:
        """Make rows that were added so far nobody's."""
        self._lost[owner] = self._count

    def publish(self) -> None:
        """Show searches what was put and lost."""
        dead, index = self.view.dead, self.view.index
        if self._lost:
            self._owners = self._without_lost()
            dead = int((self._owners[: self._count] == NOBODY).sum())
            if dead > max(MOST_DEAD, self._count // 4) or (index and dead > MOST_DEAD):
                self._pack()
                dead, index = 0, None
        indexed = len(index) if index else 0
        if self._count >= EXACT_BELOW and self._count - indexed > (TAIL if index else 0):
            new = self._templates[indexed : self._count]
            index = index.extended(new) if index else ApproximateIndex(new)
        self.view = View(self._templates, self._owners, self._count, dead, index)

    def by_owner(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Members' numbers, ascending, and their (T, 512) rows, as they were last published."""
        view = self.view
        owners = view.owners[: view.count]
        order = np.argsort(owners, kind="stable")
        order = order[owners[order] != NOBODY]
        starts = np.flatnonzero(np.diff(owners[order], prepend=NOBODY))
        for rows in np.split(order, starts[1:]) if len(order) else []:
            yield int(owners[rows[0]]), view.templates[rows]

    def changed(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> TemplateRows:
        """Others, as published, with `change` of their (N, 512) templates."""
        view = self.view
        kept = np.flatnonzero(view.owners[: view.count] != NOBODY)
        other = TemplateRows(max(len(kept), 1))
        for start in range(0, len(kept), TAIL):
            rows = kept[start : start + TAIL]
            end = start + len(rows)
            other._templates[start:end] = change(view.templates[rows])
            other._owners[start:end] = view.owners[rows]
        other._count = len(kept)
        other.publish()
        return other

    def _grow(self, needed: int) -> None:
        capacity = max(needed, len(self._owners) * 3 // 2)
        templates = np.empty((capacity, TEMPLATE_COUNT), np.float32)
        owners = np.empty(capacity, np.int64)
        templates[: self._count] = self._templates[: self._count]
        owners[: self._count] = self._owners[: self._count]
        self._templates, self._owners = templates, owners

    def _without_lost(self) -> NDArray[np.int64]:
        owners = self._owners.copy()
        losers = np.array(sorted(self._lost), np.int64)
        before = np.array([self._lost[loser] for loser in losers])
        live = owners[: self._count]
        at = np.minimum(np.searchsorted(losers, live), len(losers) - 1)
        live[(losers[at] == live) & (np.arange(self._count) < before[at])] = NOBODY
        self._lost = {}
        return owners

    def _pack(self) -> None:
        kept = self._owners[: self._count] != NOBODY
        self._templates = self._templates[: self._count][kept]
        self._owners = self._owners[: self._count][kept]
        self._count = len(self._owners)


def _best(
    scores: NDArray[np.float32], owners: NDArray[np.int64], top: int
) -> list[tuple[int, float]]:
    """The `top` owners with the largest scores, each with its largest."""
    few = 2 * top + 64
    if len(scores) > few:
        chosen = np.argpartition(scores, len(scores) - few)[-few:]
        found = _first_of_each(scores[chosen], owners[chosen], top)
        if len(found) == top:
            return found
    return _first_of_each(scores, owners, top)


def _first_of_each(
    scores: NDArray[np.float32], owners: NDArray[np.int64], top: int
) -> list[tuple[int, float]]:
    found: dict[int, float] = {}
    order = np.argsort(-scores, kind="stable")
    for owner, score in zip(owners[order].tolist(), scores[order].tolist(), strict=True):
        if owner != NOBODY and owner not in found:
            found[owner] = min(1.0, max(-1.0, score))
            if len(found) == top:
                break
    return list(found.items())
