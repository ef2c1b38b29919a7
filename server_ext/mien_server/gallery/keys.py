# SPDX-License-Identifier: Apache-2.0
"""One key of the operator, and from it a key per gallery and purpose (HKDF, RFC 5869)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mien_server.sealing import KEY_BYTES, environment_key

__all__ = ["GALLERY_KEY_VARIABLE", "SALT_BYTES", "checked_key", "derived_key", "gallery_key"]

GALLERY_KEY_VARIABLE = "MIEN_GALLERY_KEY"
SALT_BYTES = 32


def gallery_key(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The key in `MIEN_GALLERY_KEY`; None where it is not set.

    Raises:
        ValueError: it is not base64 of 32 bytes.
    """
    return environment_key(GALLERY_KEY_VARIABLE, environment)


def checked_key(key: bytes) -> bytes:
    """The key itself.

    Raises:
        ValueError: it has not 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key of a gallery must be {KEY_BYTES} bytes; this one has {len(key)}")
    return key


def derived_key(key: bytes, salt: bytes, purpose: str) -> bytes:
    """32 bytes that say nothing of the key, nor of what other salts and purposes give."""
    info = f"mien gallery 1 {purpose}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=salt, info=info).derive(checked_key(key))
