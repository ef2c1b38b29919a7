# SPDX-License-Identifier: Apache-2.0
"""A file of sealed records that only grows, and loses nothing that it has acknowledged.

After three blocks (`file_head`) records follow one another: four bytes of length, a nonce, and what
AES-256-GCM makes of the content. Its tag is the checksum as well. Bound into it are the file, the
record's number and place, and the tag of the record before, so that a record that was altered,
swapped, copied, taken out or brought from elsewhere cannot be opened. To append is to write the
records and wait for the disk, then to write the mark and wait again. So what lies before the mark
was acknowledged, and damage there is an error; what lies behind it was not, and is kept as far as
it is whole and cut off from there. What cannot be noticed is that the whole file was replaced by an
older state of itself: a file that holds its own proof cannot know what came later.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mien_server.errors import ServingError
from mien_server.gallery.file_head import (
    BLOCK,
    MARK_PLACES,
    NONCE_BYTES,
    RECORDS_START,
    TAG_BYTES,
    FileHead,
    Mark,
    Marks,
    damaged,
)

__all__ = ["RecordLog", "unwritable"]

MAX_RECORD_BYTES = 2**20
_LENGTH = struct.Struct("<I")
_PLACE = struct.Struct("<QQ")


class RecordLog:
    """An open file; one thread at a time may use it. `create` or `open` make one.

    Attributes:
        head: what the file is.
        path: where it is.
        sound: false once a write has ended so that what the disk holds is not known; nothing may be
            appended then, but a new file written in its place.
    """

    def __init__(self, path: Path, descriptor: int, head: FileHead, key: bytes) -> None:
        self.path, self.head, self.sound = path, head, True
        self._descriptor = descriptor
        self._cipher = AESGCM(head.key(key, "records"))
        self._bound = head.bound()
        self._marks = Marks(head, key)
        self._end, self._mark_place = Mark(), 0

    @classmethod
    def create(cls, path: Path, head: FileHead, key: bytes) -> RecordLog:
        """A new file without records, on the disk.

        Raises:
            OSError: it cannot be written, or is there.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        log = cls(path, os.open(path, flags, 0o600), head, key)
        try:
            blocks = [head.block(key), *(log._marks.seal(Mark()).ljust(BLOCK, b"\0"),) * 2]
            _write(log._descriptor, b"".join(blocks), 0)
            os.fsync(log._descriptor)
        except BaseException:
            log.close()
            raise
        return log

    @classmethod
    def open(cls, path: Path, key: bytes, replay: Callable[[bytes], None]) -> RecordLog:
        """A file that is there; a torn end is cut off.

        Args:
            path: of the file.
            key: the operator's.
            replay: called with the content of each record, in order.

        Raises:
            ServingError: GALLERY_DAMAGED, WRONG_GALLERY_KEY: the file is as it was.
            OSError: it cannot be read, or its torn end not cut off.
        """
        with path.open("rb") as stream:
            head = FileHead.read(stream.read(BLOCK), key, str(path))
            log = cls(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), head, key)
            try:
                log._read(stream, replay)
            except BaseException:
                log.close()
                raise
        return log

    @property
    def bytes_used(self) -> int:
        """Length of the file."""
        return self._end.offset

    def append(self, contents: Sequence[bytes]) -> None:
        """Write records; they are on the disk when this returns.

        Args:
            contents: of at most 1 MiB each.

        Raises:
            OSError: they are not, and none of them will be there; where `sound` is false, only once
                a new file has taken the place of this one.
        """
        if not self.sound:
            raise ValueError("what the file holds is not known; write a new one")
        end, frames = self._end, []
        for content in contents:
            frame = self._frame(content, end)
            frames.append(frame)
            end = Mark(end.records + 1, end.offset + len(frame), frame[-TAG_BYTES:])
        try:
            self._write_records(b"".join(frames))
            os.fdatasync(self._descriptor)
            self._write_mark(end)
        except _PutBackError:
            raise
        except BaseException:
            self.sound = False
            raise
        self._end = end

    def in_place(self) -> bool:
        """Whether it is still this file that its name leads to."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def moved(self, path: Path) -> None:
        """The file has another name now."""
        self.path = path

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):  # everything that counts was synchronised
            os.close(self._descriptor)

    def _write_records(self, content: bytes) -> None:
        """A disk without room is found out here, and the file can be put back."""
        try:
            _write(self._descriptor, content, self._end.offset)
        except OSError as error:
            os.ftruncate(self._descriptor, self._end.offset)
            raise _PutBackError(error.errno, os.strerror(error.errno or 0)) from error

    def _write_mark(self, mark: Mark) -> None:
        place = 1 - self._mark_place
        _write(self._descriptor, self._marks.seal(mark), MARK_PLACES[place])
        os.fdatasync(self._descriptor)
        self._mark_place = place

    def _frame(self, content: bytes, before: Mark) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, content, self._bindings(before))
        return _LENGTH.pack(len(nonce) + len(sealed)) + nonce + sealed

    def _bindings(self, before: Mark) -> bytes:
        return self._bound + _PLACE.pack(before.records, before.offset) + before.tag

    def _read(self, stream: BinaryIO, replay: Callable[[bytes], None]) -> None:
        """Replay all records, and leave the file ending behind the last."""
        marks = []
        for place in MARK_PLACES:
            stream.seek(place)
            marks.append(self._marks.open(stream.read(BLOCK)))
        known = [mark for mark in marks if mark is not None]
        if not known:
            raise damaged(str(self.path), "neither mark of its end can be read")
        acknowledged = max(known, key=lambda mark: mark.records)
        self._mark_place = marks.index(acknowledged)
        stream.seek(RECORDS_START)
        while (content := self._next(stream, acknowledged)) is not None:
            replay(content)
        if stream.seek(0, os.SEEK_END) > self._end.offset:
            os.ftruncate(self._descriptor, self._end.offset)
            os.fsync(self._descriptor)
        if self._end != acknowledged:  # whole records that nobody was told of are kept
            os.fsync(self._descriptor)
            self._write_mark(self._end)

    def _next(self, stream: BinaryIO, acknowledged: Mark) -> bytes | None:
        """Content of the next record; None behind the last."""
        at = self._end
        prefix = stream.read(_LENGTH.size)
        length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else 0
        sealed = (
            stream.read(length) if length <= MAX_RECORD_BYTES + NONCE_BYTES + TAG_BYTES else b""
        )
        try:
            if len(sealed) < max(length, NONCE_BYTES + TAG_BYTES):
                raise InvalidTag
            content = self._cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bindings(at)
            )
        except InvalidTag:
            if at == acknowledged or at.records > acknowledged.records:
                return None
            raise damaged(
                str(self.path),
                f"record {at.records} of {acknowledged.records}, at byte {at.offset}, is not what "
                "was written there",
            ) from None
        self._end = Mark(at.records + 1, at.offset + _LENGTH.size + length, sealed[-TAG_BYTES:])
        if self._end.records == acknowledged.records and self._end != acknowledged:
            raise damaged(
                str(self.path), f"record {at.records} is not the one that was acknowledged last"
            )
        return content


class _PutBackError(OSError):
    """A write failed, and the file is as it was."""


def unwritable(path: Path, error: OSError) -> ServingError:
    """The refusal of a change that cannot be written."""
    return ServingError(
        "GALLERY_UNWRITABLE",
        f"the change was refused and nothing of it is kept: {path} cannot be written "
        f"({error.strerror or error}). What was acknowledged before is there; make room, or see to "
        "the disk, and send it again",
    )


def _write(descriptor: int, content: bytes, offset: int) -> None:
    left = memoryview(content)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
