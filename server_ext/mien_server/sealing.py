# SPDX-License-Identifier: Apache-2.0
"""Things that leave the server sealed: a caller can bring them back, not read, alter or make them.

Contents are encrypted and authenticated (AES-256-GCM, NIST SP 800-38D) and bound to a form and to
the weights that they belong to, since numbers of other weights mean something else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "IDENTITY_KEY_VARIABLE",
    "KEY_BYTES",
    "SealError",
    "Seals",
    "environment_key",
    "identity_key",
    "new_key",
]

IDENTITY_KEY_VARIABLE = "MIEN_IDENTITY_KEY"
KEY_BYTES, _NONCE_BYTES = 32, 12
_SPACE_SHOWN = 12  # hexadecimal digits of the digest that a sealed text shows
_SEALED = re.compile(rf"([a-z_]+\d+)\.([0-9a-f]{{{_SPACE_SHOWN}}})\.([A-Za-z0-9_-]+)")


class SealError(Exception):
    """A text cannot be opened; the message says why, in the words of a sentence's end."""


class Seals:
    """Seals and opens contents of one form.

    Args:
        key: 32 bytes; servers that share it open each other's texts.
        form: of the contents, letters and a version, such as "mien1"; another one is refused.
        name: of such a text, for messages: "identity token".
        space: says which weights the contents belong to, such as their digest.
        max_chars: longer texts are refused unread.
    """

    def __init__(self, key: bytes, *, form: str, name: str, space: str, max_chars: int) -> None:
        self._cipher = AESGCM(key)
        self._form, self._name, self._max_chars = form, name, max_chars
        self._bound = f"{form} {space}".encode()
        self._shown = hashlib.sha256(space.encode()).hexdigest()[:_SPACE_SHOWN]

    def seal(self, content: bytes) -> str:
        """ASCII, a third longer than the content; never the same twice."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, content, self._bound)
        return f"{self._form}.{self._shown}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def open(self, text: str) -> bytes:
        """What was sealed.

        Raises:
            SealError: it is something else, of another form, of other weights, or was not sealed
                with this key.
        """
        parts = _SEALED.fullmatch(text) if len(text) <= self._max_chars else None
        stem = self._form.rstrip("0123456789")
        if parts is None or parts[1].rstrip("0123456789") != stem:
            raise SealError(f"it is no {self._name} (it has {len(text)} characters)")
        form, shown, sealed = parts.groups()
        if form != self._form:
            raise SealError(f"it is of the form {form}; this server knows {self._form}")
        if shown != self._shown:
            raise SealError(
                f"it was issued for other weights ({shown}; those behind this server are "
                f"{self._shown}), and its numbers mean nothing here"
            )
        return self._decrypted(sealed)

    def _decrypted(self, text: str) -> bytes:
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound)
        except (InvalidTag, ValueError, binascii.Error):
            raise SealError(
                "it was altered, or sealed with another key: that of another server, or of this "
                f"one before it was started again without {IDENTITY_KEY_VARIABLE}"
            ) from None


def identity_key(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The key in `MIEN_IDENTITY_KEY`; None where it is not set.

    Raises:
        ValueError: it is not base64 of 32 bytes.
    """
    return environment_key(IDENTITY_KEY_VARIABLE, environment)


def environment_key(variable: str, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The key in a variable of the environment; None where it is not set.

    Raises:
        ValueError: it is not base64 of 32 bytes.
    """
    text = environment.get(variable)
    if text is None:
        return None
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{variable} must be {KEY_BYTES} random bytes in base64, such as "
            "`openssl rand -base64 32` prints; its value is something else"
        )
    return key


def new_key() -> str:
    """A random key in the form of `MIEN_IDENTITY_KEY`."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()
