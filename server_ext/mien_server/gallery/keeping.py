# SPDX-License-Identifier: Apache-2.0
"""An open gallery: what its file and its memory hold are changed together, or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TypeVar

from mien_server.errors import ServingError
from mien_server.gallery.contents import Contents
from mien_server.gallery.file_head import FileHead
from mien_server.gallery.gallery_file import rewritten
from mien_server.gallery.group_commit import Change, GroupCommit
from mien_server.gallery.operations import encoded, rows_of
from mien_server.gallery.record_log import RecordLog, unwritable
from mien_server.gallery.roster import Plan
from mien_server.gallery.rotation import Rotation

__all__ = ["Held", "Keeper"]

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
MOST_WASTE_BYTES = 2**20  # a file is not written anew for less


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What belongs together, exchanged as one: templates were turned by this rotation.

    Attributes:
        key: the operator's.
        log: sealed with it.
        rotation: by it and the log's salt.
        contents: of the log.
    """

    key: bytes
    log: RecordLog
    rotation: Rotation
    contents: Contents


class Keeper:
    """Changes a gallery; any number of threads may.

    Args:
        folder: of the gallery.
        lock: descriptor that keeps others out; closed with the gallery.
        key: the operator's.
        log: of the gallery.
        contents: of the log.

    Attributes:
        listing: held while the roster changes; hold it to walk through.
    """

    def __init__(
        self, folder: Path, lock: int, key: bytes, log: RecordLog, contents: Contents
    ) -> None:
        self.listing = Lock()
        self._name, self._folder, self._lock = log.head.gallery, folder, lock
        self._held = Held(key, log, Rotation(key, log.head.salt), contents)
        self._commits = GroupCommit(self._commit)
        self._waste_allowed = MOST_WASTE_BYTES
        self._closed = False

    def opened(self) -> Held:
        """What there is now.

        Raises:
            ServingError: STOPPING: the gallery was closed.
        """
        if self._closed:
            raise ServingError("STOPPING", f"gallery {self._name} was closed; open it again")
        return self._held

    def make(self, plan: Callable[[Plan, Rotation], _T]) -> _T:
        """Make a change, which lasts when this returns.

        Args:
            plan: adds to a plan, templates turned by the rotation, and returns the answer.

        Raises:
            ServingError: GALLERY_UNWRITABLE, STOPPING, or what `plan` raises.
        """
        # Not before: the rotation may be another by the time that this is written.
        answer = self._commits.make(lambda group: plan(group, self._held.rotation))
        if self._is_wasteful():
            self.compact_if_possible(unless_done=True)
        return answer

    def compact(self) -> None:
        """Write the file anew, without what was deleted.

        Raises:
            ServingError: GALLERY_UNWRITABLE, STOPPING.
        """
        with self._commits.alone():
            self._rewrite()

    def compact_if_possible(self, *, unless_done: bool = False) -> bool:
        """Whether it worked; changes that were made are lasting in the old file as well.

        Args:
            unless_done: only where there is still enough to leave out.
        """
        try:
            with self._commits.alone():
                if self._is_wasteful() or not unless_done:
                    self._rewrite()
        except ServingError as error:
            _LOG.warning("gallery %s keeps its old file for now: %s", self._name, error)
            self._waste_allowed = 2 * self._held.log.bytes_used
            return False
        return True

    def reissue(self, new_key: bytes | None) -> None:
        """Another rotation, salt and, if one is given, key.

        Raises:
            ServingError: GALLERY_UNWRITABLE, STOPPING.
        """
        with self._commits.alone():
            held = self.opened()
            key = new_key or held.key
            head = FileHead.new(self._name, held.log.head.space)
            rotation = Rotation(key, head.salt)
            contents = held.contents.turned(held.rotation, rotation)
            log = rewritten(self._folder, head, key, contents.records())
            self._hold(Held(key, log, rotation, contents))

    def close(self) -> None:
        """Let go of the file and the lock."""
        with self._commits.alone():
            if not self._closed:
                self._closed = True
                self._held.log.close()
                os.close(self._lock)

    def _commit(self, changes: Sequence[Change]) -> None:
        """Write changes of any number of threads, one of which runs this for all."""
        contents = self.opened().contents
        group = Plan(contents.roster)
        for change in changes:
            change.add_to(group)
        if not group.operations:
            return
        if not (self._held.log.sound and self._held.log.in_place()):
            self._rewrite()
        contents.rows.reserve(sum(rows_of(operation) for operation in group.operations))
        log = self._held.log
        try:
            log.append([encoded(operation) for operation in group.operations])
        except OSError as error:
            raise unwritable(log.path, error) from error
        try:
            with self.listing:
                for operation in group.operations:
                    contents.apply(operation)
            contents.rows.publish()
        except BaseException:
            log.sound = False  # it says more than memory does
            raise

    def _is_wasteful(self) -> bool:
        live = self._held.contents.roster.record_bytes()
        return self._held.log.bytes_used - live > max(self._waste_allowed, live)

    def _rewrite(self) -> None:
        held = self.opened()
        head = FileHead.new(self._name, held.log.head.space, held.log.head.salt)
        log = rewritten(self._folder, head, held.key, held.contents.records())
        self._hold(replace(held, log=log))

    def _hold(self, held: Held) -> None:
        before, self._held = self._held, held
        before.log.close()
        self._waste_allowed = MOST_WASTE_BYTES
