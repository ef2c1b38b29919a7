# SPDX-License-Identifier: Apache-2.0
"""A gallery in Qdrant, for those who outgrow one machine: `pip install mien[qdrant]`.

Qdrant sees turned templates, and neither names nor metadata (`qdrant_points`). What is enrolled and
deleted lasts as its own settings say. Whoever may write to it can exchange vectors unnoticed, which
a file of `record_log` would not permit; and of two processes that enrol one name at once, the one
that comes last is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from mien_server.errors import ServingError
from mien_server.gallery import checks
from mien_server.gallery.file_head import FileHead, damaged
from mien_server.gallery.gallery import (
    Enrolment,
    Existing,
    Gallery,
    Match,
    Page,
    Size,
    Subject,
)
from mien_server.gallery.gallery_file import check_space, unknown_gallery
from mien_server.gallery.keys import checked_key
from mien_server.gallery.operations import Member, Put
from mien_server.gallery.qdrant_collections import (
    collections_of,
    head_block,
    make_collections,
    reading,
    writing,
)
from mien_server.gallery.qdrant_points import Points, Stored
from mien_server.gallery.receipts import Receipt, sign_receipt
from mien_server.gallery.roster import Plan, subject_of, unknown_subject
from mien_server.gallery.rotation import Rotation

__all__ = ["QdrantGallery"]

POINTS_AT_ONCE = 256


class QdrantGallery(Gallery):
    """A `Gallery`; `create` or `open` make one.

    Args:
        client: of Qdrant; closing the gallery leaves it open. Threads take turns with it, since its
            local mode serves one at a time.
        head: of the gallery.
        key: the operator's, 32 bytes.

    Attributes:
        name: of the gallery.
        space: digest of its recogniser.
    """

    def __init__(self, client: QdrantClient, head: FileHead, key: bytes) -> None:
        self.name, self.space = head.gallery, head.space
        self._client, self._key = client, key
        self._rotation, self._points = Rotation(key, head.salt), Points(head, key)
        self._subjects, self._templates = collections_of(head.gallery)
        self._turns, self._closed, self._last_number = RLock(), False, 0

    @classmethod
    def create(cls, client: QdrantClient, name: str, space: str, key: bytes) -> QdrantGallery:
        """A gallery that is not there yet.

        Raises:
            ServingError: INVALID_OPTION, GALLERY_EXISTS, GALLERY_UNWRITABLE.
        """
        head = FileHead.new(checks.checked_gallery_name(name), checks.checked_space(space))
        with writing(name):
            make_collections(client, head, checked_key(key))
        return cls(client, head, key)

    @classmethod
    def open(cls, client: QdrantClient, name: str, space: str, key: bytes) -> QdrantGallery:
        """A gallery that is there.

        Raises:
            ServingError: INVALID_OPTION, UNKNOWN_GALLERY, WRONG_GALLERY_KEY, WRONG_GALLERY_SPACE,
                GALLERY_DAMAGED, MODEL_FAILED.
        """
        checks.checked_gallery_name(name)
        with reading(name):
            block = head_block(client, name)
        if block is None:
            raise unknown_gallery(name)
        head = FileHead.read(block, checked_key(key), f"gallery {name} in Qdrant")
        if head.gallery != name:
            raise damaged(f"gallery {name} in Qdrant", f"its head is that of {head.gallery}")
        check_space(name, head.space, space)
        return cls(client, head, key)

    def enrol(
        self,
        subject: str,
        templates: NDArray[np.float32],
        metadata: Mapping[str, Any] | None = None,
        *,
        existing: Existing = "refuse",
    ) -> Subject:
        """See `Gallery.enrol`."""
        return self.enrol_many([Enrolment(subject, templates, metadata)], existing=existing)[0]

    def enrol_many(
        self, enrolments: Sequence[Enrolment], *, existing: Existing = "refuse"
    ) -> tuple[Subject, ...]:
        """See `Gallery.enrol_many`."""
        people = checks.checked_batch(enrolments)
        checks.checked_existing(existing)
        parts = np.split(self._rotation.turn(people.templates), people.ends)[:-1]
        with self._turn(), writing(self.name):
            known = _Known(self._stored(people.names), self._new_number())
            plan = Plan(known)
            members = [
                plan.enrol(name, part, metadata, existing)
                for name, metadata, part in zip(people.names, people.metadata, parts, strict=True)
            ]
            self._last_number = plan.next_number
            self._write([one for one in plan.operations if isinstance(one, Put)], known.stored)
        return tuple(subject_of(member) for member in members)

    def delete(self, subject: str, *, compact: bool = False) -> Receipt:  # noqa: ARG002
        """See `Gallery.delete`; when Qdrant frees what it held is for its optimizer to say.

        So `compact` changes nothing, and no receipt of this gallery says `erased`.
        """
        with self._turn(), writing(self.name):
            stored = self._stored([subject]).get(subject)
            if stored is None:
                raise unknown_subject(subject)
            gone = models.PointIdsList(points=[self._points.subject_id(subject)])
            self._client.delete(self._subjects, gone, wait=True)
            self._forget(stored.generations)
        count = stored.member.templates
        return sign_receipt(self._key, self.name, subject, count, time.time(), erased=False)

    def subject(self, name: str) -> Subject:
        """See `Gallery.subject`."""
        with self._turn(), reading(self.name):
            stored = self._stored([name]).get(name)
        if stored is None:
            raise unknown_subject(name)
        return subject_of(stored.member)

    def subjects(self, *, after: int | None = None, limit: int = 100) -> Page:
        """See `Gallery.subjects`."""
        checks.checked_page(limit)
        start = None if after is None else after + 1
        order = models.OrderBy(key="number", start_from=start)
        with self._turn(), reading(self.name):
            records, _ = self._client.scroll(self._subjects, limit=limit + 1, order_by=order)
        found = [stored.member for stored in self._points.stored(records).values()]
        last = found[limit - 1].number if len(found) > limit else None
        return Page(tuple(subject_of(member) for member in found[:limit]), last)

    def search(
        self, probes: NDArray[np.float32], *, top: int = 5, threshold: float = -1.0
    ) -> tuple[tuple[Match, ...], ...]:
        """See `Gallery.search`."""
        faces = checks.unit_vectors(probes, "probes")
        checks.checked_top(top)
        with self._turn(), reading(self.name):
            return tuple(self._search(f, top, threshold) for f in self._rotation.turn(faces))

    def count(self) -> Size:
        """See `Gallery.count`; templates include those of an enrolment that was cut short."""
        with self._turn(), reading(self.name):
            subjects, templates = (
                self._client.count(collection, exact=True).count
                for collection in (self._subjects, self._templates)
            )
        return Size(subjects, templates)

    def close(self) -> None:
        """See `Gallery.close`."""
        self._closed = True

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._turns:
            if self._closed:
                raise ServingError("STOPPING", f"gallery {self.name} was closed; open it again")
            yield

    def _search(self, probe: NDArray[np.float32], top: int, threshold: float) -> tuple[Match, ...]:
        wanted = 2 * top
        while True:
            groups = self._client.query_points_groups(
                self._templates,
                query=probe.tolist(),
                group_by="generation",
                group_size=1,
                limit=wanted,
                score_threshold=threshold,
                with_payload=True,
            ).groups
            matches = self._matches([group.hits[0] for group in groups])
            if len(matches) >= top or len(groups) < wanted:
                return tuple(matches[:top])
            wanted *= 4  # some are of nobody, or several of one subject

    def _matches(self, hits: Sequence[Any]) -> list[Match]:
        ids = list({hit.payload["subject"] for hit in hits})
        stored = self._points.stored(self._client.retrieve(self._subjects, ids)) if ids else {}
        best: dict[str, Match] = {}
        for hit in hits:
            found = stored.get(hit.payload["subject"])
            if found is not None and hit.payload["generation"] in found.generations:
                score = min(1.0, max(-1.0, hit.score))
                best.setdefault(found.member.name, Match(subject_of(found.member), score))
        return list(best.values())

    def _write(self, puts: Sequence[Put], known: dict[str, Stored]) -> None:
        """Templates first; then the points that make them count; then what these have replaced."""
        after = dict(known)
        points: list[models.PointStruct] = []
        replaced: list[str] = []
        for put in puts:
            name, generation = put.member.name, self._points.new_generation()
            before = after.get(name, Stored(put.member))
            replaced += [] if put.adds else before.generations
            after[name] = before.after(put, generation)
            points += self._points.templates(name, generation, put.templates)
        for start in range(0, len(points), POINTS_AT_ONCE):
            some = points[start : start + POINTS_AT_ONCE]
            self._client.upsert(self._templates, points=some, wait=True)
        subjects = [self._points.subject(after[name]) for name in {p.member.name for p in puts}]
        if subjects:
            self._client.upsert(self._subjects, points=subjects, wait=True)
        self._forget(replaced)

    def _forget(self, generations: Sequence[str]) -> None:
        if generations:
            match = models.MatchAny(any=list(generations))
            gone = models.Filter(must=[models.FieldCondition(key="generation", match=match)])
            self._client.delete(self._templates, models.FilterSelector(filter=gone), wait=True)

    def _stored(self, names: Sequence[str]) -> dict[str, Stored]:
        ids = [self._points.subject_id(name) for name in names]
        records = self._client.retrieve(self._subjects, ids) if ids else []
        found = self._points.stored(records).values()
        return {stored.member.name: stored for stored in found}

    def _new_number(self) -> int:
        """Grows; microseconds, so that other processes' numbers fall in between."""
        return max(self._last_number, time.time_ns() // 1000)


class _Known:
    """What a plan asks for."""

    def __init__(self, stored: dict[str, Stored], next_number: int) -> None:
        self.stored, self.next_number = stored, next_number

    def member(self, name: str) -> Member | None:
        return self.stored[name].member if name in self.stored else None
