# SPDX-License-Identifier: Apache-2.0
"""The first three blocks of a gallery's file: what it is, and twice how far it was acknowledged.

A mark says where the acknowledged records end. Marks are written in turns to two places, so that
one that a crash has torn leaves the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
import zlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mien_server.errors import ServingError
from mien_server.gallery.keys import SALT_BYTES, derived_key

__all__ = ["BLOCK", "MARK_PLACES", "RECORDS_START", "TAG_BYTES", "FileHead", "Mark", "Marks"]

BLOCK = 4096  # bytes; no disk tears two of them with one write
MARK_PLACES = (BLOCK, 2 * BLOCK)
RECORDS_START = 3 * BLOCK
NONCE_BYTES, TAG_BYTES = 12, 16

_MAGIC = b"MIENGAL1"
_LENGTHS = struct.Struct("<8sII")  # magic, CRC-32 of what follows it, bytes of the description
_MARK = struct.Struct(f"<QQ{TAG_BYTES}s")
MARK_BYTES = NONCE_BYTES + _MARK.size + TAG_BYTES


@dataclass(frozen=True, slots=True)
class FileHead:
    """What a file is. It is not secret, and sealed against alteration.

    Attributes:
        gallery: name.
        space: digest of the recogniser.
        salt: of the gallery's keys.
        file: of this very file, so that records of others fail in it.
    """

    gallery: str
    space: str
    salt: bytes
    file: bytes

    @classmethod
    def new(cls, gallery: str, space: str, salt: bytes | None = None) -> FileHead:
        """For a file that is to be written."""
        return cls(gallery, space, salt or os.urandom(SALT_BYTES), os.urandom(SALT_BYTES))

    def block(self, key: bytes) -> bytes:
        """The first block."""
        said = {"gallery": self.gallery, "space": self.space}
        described = json.dumps(
            said | {"salt": self.salt.hex(), "file": self.file.hex()}, sort_keys=True
        ).encode()
        nonce = os.urandom(NONCE_BYTES)
        seal = AESGCM(self.key(key, "head")).encrypt(nonce, b"", described)
        rest = (described + nonce + seal).ljust(BLOCK - _LENGTHS.size, b"\0")
        lengths = struct.pack("<I", len(described))
        return _MAGIC + struct.pack("<I", zlib.crc32(lengths + rest)) + lengths + rest

    @classmethod
    def read(cls, block: bytes, key: bytes, place: str) -> FileHead:
        """From the first block.

        Raises:
            ServingError: GALLERY_DAMAGED, WRONG_GALLERY_KEY.
        """
        if len(block) < BLOCK:
            raise damaged(place, f"it has {len(block)} bytes, fewer than its head alone")
        magic, checksum, length = _LENGTHS.unpack_from(block)
        if magic != _MAGIC or zlib.crc32(block[_LENGTHS.size - 4 :]) != checksum:
            raise damaged(place, "its first block is not what was written")
        described, seal = block[_LENGTHS.size :][:length], block[_LENGTHS.size + length :]
        try:
            said = json.loads(described)
            salt, file = bytes.fromhex(said["salt"]), bytes.fromhex(said["file"])
            head = cls(str(said["gallery"]), str(said["space"]), salt, file)
            nonce, tag = seal[:NONCE_BYTES], seal[NONCE_BYTES:][:TAG_BYTES]
            AESGCM(head.key(key, "head")).decrypt(nonce, tag, described)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged(place, "its first block describes no gallery") from None
        except InvalidTag:
            raise ServingError(
                "WRONG_GALLERY_KEY",
                f"{place} was sealed with another key than the one given; nothing was read or "
                "changed. Set the key that the gallery was made with",
            ) from None
        return head

    def key(self, key: bytes, purpose: str) -> bytes:
        """A key of this very file."""
        return derived_key(key, self.salt + self.file, purpose)

    def bound(self) -> bytes:
        """What each of its records is bound to."""
        return hashlib.sha256(
            b"\0".join((self.gallery.encode(), self.space.encode(), self.salt, self.file))
        ).digest()


@dataclass(frozen=True, slots=True)
class Mark:
    """Where records end.

    Attributes:
        records: how many there are.
        offset: of the byte after the last.
        tag: seal of the last; the next one is bound to it.
    """

    records: int = 0
    offset: int = RECORDS_START
    tag: bytes = bytes(TAG_BYTES)


class Marks:
    """Seals and opens the marks of one file.

    Args:
        head: of the file.
        key: the operator's.
    """

    def __init__(self, head: FileHead, key: bytes) -> None:
        self._cipher = AESGCM(head.key(key, "marks"))

    def seal(self, mark: Mark) -> bytes:
        """80 bytes."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        said = _MARK.pack(mark.records, mark.offset, mark.tag)
        return nonce + self._cipher.encrypt(nonce, said, b"mark")

    def open(self, sealed: bytes) -> Mark | None:
        """The mark; None for anything else."""
        try:
            said = self._cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:MARK_BYTES], b"mark"
            )
        except (InvalidTag, ValueError):
            return None
        return Mark(*_MARK.unpack(said))


def damaged(place: str, what: str) -> ServingError:
    """The refusal of a file that is not what was written."""
    return ServingError(
        "GALLERY_DAMAGED",
        f"{place} is damaged: {what}. Nothing was changed; restore the file from a backup",
    )
