# SPDX-License-Identifier: Apache-2.0
"""A gallery in one folder, served by one process.

`templates.log` is the gallery (`record_log`); all else is made of it when it is opened. It is
written anew, without what was deleted, once that is more than what is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.gallery import checks
from mien_server.gallery.contents import Contents
from mien_server.gallery.file_head import FileHead
from mien_server.gallery.gallery import (
    Enrolment,
    Existing,
    Gallery,
    Match,
    Page,
    Size,
    Subject,
)
from mien_server.gallery.gallery_file import (
    create_file,
    locked,
    open_file,
    rows_expected,
)
from mien_server.gallery.keeping import Keeper
from mien_server.gallery.keys import checked_key
from mien_server.gallery.operations import Member, decoded
from mien_server.gallery.receipts import Receipt, sign_receipt
from mien_server.gallery.record_log import RecordLog
from mien_server.gallery.roster import Plan, subject_of, unknown_subject
from mien_server.gallery.rotation import Rotation
from mien_server.gallery.template_rows import TemplateRows

__all__ = ["LocalGallery"]


class LocalGallery(Gallery):
    """A `Gallery`; `create` or `open` make one.

    Attributes:
        name: of the gallery.
        space: digest of its recogniser.
        folder: where it is.
    """

    def __init__(
        self, folder: Path, key: bytes, lock: int, log: RecordLog, contents: Contents
    ) -> None:
        self.name, self.space = log.head.gallery, log.head.space
        self.folder = folder
        self._keeper = Keeper(folder, lock, key, log, contents)

    @classmethod
    def create(cls, folder: Path, name: str, space: str, key: bytes) -> LocalGallery:
        """A gallery that is not there yet.

        Args:
            folder: of the gallery; made where it is not there.
            name: of the gallery.
            space: digest of the recogniser that makes its templates.
            key: 32 bytes; without it nothing of the gallery can be read again.

        Raises:
            ServingError: INVALID_OPTION, GALLERY_EXISTS, GALLERY_LOCKED, GALLERY_UNWRITABLE.
        """
        head = FileHead.new(checks.checked_gallery_name(name), checks.checked_space(space))
        checked_key(key)
        lock = locked(folder, make=True)
        try:
            log = create_file(folder, head, key)
            return cls(folder, key, lock, log, Contents(TemplateRows()))
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open(cls, folder: Path, name: str, space: str, key: bytes) -> LocalGallery:
        """A gallery that is there.

        Args:
            folder: of the gallery.
            name: of the gallery.
            space: digest of the recogniser that is served.
            key: that it was made with.

        Raises:
            ServingError: INVALID_OPTION, UNKNOWN_GALLERY, GALLERY_LOCKED, WRONG_GALLERY_KEY,
                WRONG_GALLERY_SPACE, GALLERY_DAMAGED, GALLERY_UNWRITABLE.
        """
        checks.checked_gallery_name(name)
        checked_key(key)
        lock = locked(folder)
        try:
            contents = Contents(TemplateRows(rows_expected(folder)))
            log = open_file(
                folder, name, space, key, lambda record: contents.apply(decoded(record))
            )
            contents.rows.publish()
            return cls(folder, key, lock, log, contents)
        except BaseException:
            os.close(lock)
            raise

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

        def plan(group: Plan, rotation: Rotation) -> list[Member]:
            parts = np.split(rotation.turn(people.templates), people.ends)[:-1]
            return [
                group.enrol(name, part, metadata, existing)
                for name, metadata, part in zip(people.names, people.metadata, parts, strict=True)
            ]

        return tuple(subject_of(member) for member in self._keeper.make(plan))

    def delete(self, subject: str, *, compact: bool = False) -> Receipt:
        """See `Gallery.delete`."""
        key = self._keeper.opened().key
        member = self._keeper.make(lambda group, _: group.delete(subject))
        at, erased = time.time(), compact and self._keeper.compact_if_possible()
        return sign_receipt(key, self.name, member.name, member.templates, at, erased=erased)

    def subject(self, name: str) -> Subject:
        """See `Gallery.subject`."""
        member = self._keeper.opened().contents.roster.member(name)
        if member is None:
            raise unknown_subject(name)
        return subject_of(member)

    def subjects(self, *, after: int | None = None, limit: int = 100) -> Page:
        """See `Gallery.subjects`."""
        checks.checked_page(limit)
        with self._keeper.listing:
            return self._keeper.opened().contents.roster.page(after, limit)

    def search(
        self, probes: NDArray[np.float32], *, top: int = 5, threshold: float = -1.0
    ) -> tuple[tuple[Match, ...], ...]:
        """See `Gallery.search`."""
        faces = checks.unit_vectors(probes, "probes")
        checks.checked_top(top)
        held = self._keeper.opened()
        turned = held.rotation.turn(faces)
        return tuple(held.contents.search(face, top, threshold) for face in turned)

    def count(self) -> Size:
        """See `Gallery.count`."""
        with self._keeper.listing:
            return self._keeper.opened().contents.roster.size()

    def compact(self) -> None:
        """Write the file anew, without what was deleted; changes wait meanwhile, searches do not.

        Raises:
            ServingError: GALLERY_UNWRITABLE: the file is as it was.
        """
        self._keeper.compact()

    def reissue(self, key: bytes | None = None) -> None:
        """Give all templates another rotation, and the file other keys.

        What leaked before is of no use against the gallery afterwards; receipts can still be
        verified with the key that they were signed with.

        Args:
            key: 32 bytes that take the place of the key; None keeps it, and changes the salt alone.

        Raises:
            ServingError: GALLERY_UNWRITABLE: all is as it was.
        """
        self._keeper.reissue(None if key is None else checked_key(key))

    def close(self) -> None:
        """See `Gallery.close`."""
        self._keeper.close()

    def __enter__(self) -> LocalGallery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
