# SPDX-License-Identifier: Apache-2.0
"""Receipts for deletions: anybody reads them, and who has the operator's key can verify them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass

from mien_server.errors import ServingError
from mien_server.gallery.keys import derived_key

__all__ = ["Receipt", "read_receipt", "sign_receipt"]

_FORM = "mienreceipt1"
_TEXT = re.compile(rf"{_FORM}\.([A-Za-z0-9_-]{{1,4000}})\.([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class Receipt:
    """That somebody was deleted.

    Attributes:
        gallery: name.
        subject: name.
        templates: how many were deleted.
        deleted_at: seconds since 1970.
        erased: whether the gallery's files held nothing of them any more when it was issued; where
            false, the sealed templates go with the next compaction. Neither says anything of
            backups, nor of blocks that a file system or a disk has not yet used again.
        text: the above, and a signature (HMAC-SHA256).
    """

    gallery: str
    subject: str
    templates: int
    deleted_at: float
    erased: bool
    text: str


def sign_receipt(
    key: bytes, gallery: str, subject: str, templates: int, deleted_at: float, *, erased: bool
) -> Receipt:
    """A receipt, signed with the operator's key."""
    unsigned = Receipt(gallery, subject, templates, deleted_at, erased, "")
    said = {name: value for name, value in asdict(unsigned).items() if name != "text"}
    content = json.dumps(said, sort_keys=True).encode()
    shown = base64.urlsafe_b64encode(content).decode().rstrip("=")
    text = f"{_FORM}.{shown}.{_signature(key, content)}"
    return Receipt(gallery, subject, templates, deleted_at, erased, text)


def read_receipt(text: str, key: bytes) -> Receipt:
    """What a receipt says.

    Raises:
        ServingError: INVALID_OPTION: it is no receipt, was altered, or signed with another key.
    """
    parts = _TEXT.fullmatch(text)
    if parts is None:
        raise ServingError(
            "INVALID_OPTION", f"a text of {len(text)} characters came that is no receipt"
        )
    shown, signature = parts.groups()
    try:
        content = base64.b64decode(shown + "=" * (-len(shown) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        content = b""
    if not hmac.compare_digest(_signature(key, content), signature):
        raise ServingError(
            "INVALID_OPTION",
            "the receipt was altered, or signed with another key than the one given",
        )
    return Receipt(**json.loads(content), text=text)


def _signature(key: bytes, content: bytes) -> str:
    return hmac.new(derived_key(key, b"", "receipts"), content, hashlib.sha256).hexdigest()
