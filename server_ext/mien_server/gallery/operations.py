# SPDX-License-Identifier: Apache-2.0
"""What a record of a gallery's file says, as bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.gallery.rotation import TEMPLATE_COUNT

__all__ = ["Delete", "Member", "Operation", "Put", "decoded", "encoded", "rows_of"]

_PUT, _ADD, _DELETE = 1, 2, 3
# Kind, number, seconds since 1970, bytes of the name and of metadata, templates here and in all.
_FIXED = struct.Struct("<BQdHIHH")


@dataclass(frozen=True, slots=True)
class Member:
    """What a gallery knows of a subject, but for the templates.

    Attributes:
        number: never given twice while a gallery is open; the order of the list.
        name: of the subject.
        enrolled_at: seconds since 1970.
        metadata: JSON.
        templates: how many.
    """

    number: int
    name: str
    enrolled_at: float
    metadata: bytes
    templates: int


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """A subject is to be as `member` says.

    Attributes:
        member: afterwards.
        templates: (T, 512) float32, turned.
        adds: whether templates join those that are there; else they replace them.
    """

    member: Member
    templates: NDArray[np.float32]
    adds: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """A subject is to be gone."""

    number: int


Operation = Put | Delete


def rows_of(operation: Operation) -> int:
    """How many templates come with it."""
    return 0 if isinstance(operation, Delete) else len(operation.templates)


def encoded(operation: Operation) -> bytes:
    """The operation as bytes."""
    if isinstance(operation, Delete):
        return _FIXED.pack(_DELETE, operation.number, 0, 0, 0, 0, 0)
    member, name = operation.member, operation.member.name.encode()
    fixed = _FIXED.pack(
        _ADD if operation.adds else _PUT,
        member.number,
        member.enrolled_at,
        len(name),
        len(member.metadata),
        len(operation.templates),
        member.templates,
    )
    numbers = operation.templates.astype("<f4", copy=False).tobytes()
    return b"".join((fixed, name, member.metadata, numbers))


def decoded(content: bytes) -> Operation:
    """The operation that `encoded` made bytes of."""
    kind, number, enrolled_at, of_name, of_metadata, count, total = _FIXED.unpack_from(content)
    if kind == _DELETE:
        return Delete(number)
    name_end = _FIXED.size + of_name
    metadata_end = name_end + of_metadata
    templates = np.frombuffer(content, "<f4", offset=metadata_end).reshape(count, TEMPLATE_COUNT)
    name = content[_FIXED.size : name_end].decode()
    metadata = content[name_end:metadata_end]
    return Put(Member(number, name, enrolled_at, metadata, total), templates, kind == _ADD)
