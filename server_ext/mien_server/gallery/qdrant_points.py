# SPDX-License-Identifier: Apache-2.0
"""What a gallery keeps in Qdrant: a point per template, and one per subject that makes them count.

Templates of one enrolment share a generation, and count once the subject's own point names it. So a
subject appears, changes and goes with the writing of one point.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray
from qdrant_client import models

from mien_server.gallery.file_head import NONCE_BYTES, FileHead, damaged
from mien_server.gallery.operations import Member, Put

__all__ = ["Points", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A member, and which templates are his.

    Attributes:
        member: as others see him.
        generations: of his templates.
    """

    member: Member
    generations: tuple[str, ...] = ()

    def after(self, put: Put, generation: str) -> Stored:
        """Once `put` has been written under a generation."""
        kept = self.generations if put.adds else ()
        return replace(self, member=put.member, generations=(*kept, generation))


class Points:
    """Makes and reads the points of one gallery.

    Args:
        head: of the gallery.
        key: the operator's.
    """

    def __init__(self, head: FileHead, key: bytes) -> None:
        self._cipher = AESGCM(head.key(key, "subjects"))
        self._names = head.key(key, "names")
        self._gallery = head.gallery

    def subject_id(self, name: str) -> str:
        """Of a subject's point: it says nothing of the name to those who have no key."""
        digest = hmac.new(self._names, name.encode(), hashlib.sha256).digest()
        return str(uuid.UUID(bytes=digest[:16]))

    def new_generation(self) -> str:
        """That no template has."""
        return secrets.token_hex(16)

    def templates(
        self, name: str, generation: str, templates: NDArray[np.float32]
    ) -> list[models.PointStruct]:
        """Points of (T, 512) turned templates."""
        payload = {"subject": self.subject_id(name), "generation": generation}
        return [
            models.PointStruct(id=str(uuid.uuid4()), vector=row.tolist(), payload=payload)
            for row in templates
        ]

    def subject(self, stored: Stored) -> models.PointStruct:
        """The point of a subject: sealed, but for its place in the list."""
        member = stored.member
        place = self.subject_id(member.name)
        said = [
            member.name,
            member.enrolled_at,
            member.metadata.decode(),
            member.templates,
            stored.generations,
        ]
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = f"{place} {member.number}".encode()
        sealed = nonce + self._cipher.encrypt(nonce, json.dumps(said).encode(), bound)
        payload = {"number": member.number, "sealed": base64.b64encode(sealed).decode()}
        return models.PointStruct(id=place, vector={}, payload=payload)

    def stored(self, records: Sequence[Any]) -> dict[str, Stored]:
        """What records of subjects say, by their ids.

        Raises:
            ServingError: GALLERY_DAMAGED.
        """
        return {str(record.id): self._opened(record) for record in records}

    def _opened(self, record: Any) -> Stored:
        try:
            number = int(record.payload["number"])
            sealed = base64.b64decode(record.payload["sealed"], validate=True)
            bound = f"{record.id} {number}".encode()
            said = json.loads(
                self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
            )
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise damaged(
                f"gallery {self._gallery} in Qdrant", f"point {record.id} was altered"
            ) from None
        name, enrolled_at, metadata, templates, generations = said
        member = Member(number, name, enrolled_at, metadata.encode(), templates)
        return Stored(member, tuple(generations))
