# SPDX-License-Identifier: Apache-2.0
"""Identities that leave the server sealed: a caller can use one again, not read or make one.

A generator that takes anybody's recognition embedding shows the face behind a stolen template. So
an embedding travels only as a token that this server's key encrypts and authenticates (AES-256-GCM,
NIST SP 800-38D). What the embedding belongs to is bound in too: other weights mean other vectors.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from mien_server.errors import ServingError

__all__ = [
    "IDENTITY_KEY_VARIABLE",
    "KEY_BYTES",
    "Identity",
    "IdentityTokens",
    "identity_key",
    "new_identity_key",
]

IDENTITY_KEY_VARIABLE = "MIEN_IDENTITY_KEY"
EMBEDDING_COUNT, SHAPE_COUNT = 512, 100

_VERSION = "mien1"
KEY_BYTES, _NONCE_BYTES = 32, 12
_SPACE_SHOWN = 12  # hexadecimal digits of the digest that a token shows
_TOKEN = re.compile(rf"(mien\d+)\.([0-9a-f]{{{_SPACE_SHOWN}}})\.([A-Za-z0-9_-]+)")
_MAX_TOKEN = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Who a face is of.

    Attributes:
        embedding: (512,) float32 of unit length, by `face_recognizer`.
        shape: (100,) float32 coefficients of the head; None where they are not known.
    """

    embedding: NDArray[np.float32]
    shape: NDArray[np.float32] | None = None


class IdentityTokens:
    """Seals and opens identities.

    Args:
        key: 32 bytes; servers that share it take each other's tokens.
        space: says which weights embeddings and shapes belong to, such as their digest.
    """

    def __init__(self, key: bytes, space: str) -> None:
        self._cipher = AESGCM(key)
        self._space = space
        self._shown = hashlib.sha256(space.encode()).hexdigest()[:_SPACE_SHOWN]

    def seal(self, identity: Identity) -> str:
        """An identity as about 3,300 characters of ASCII; never the same twice."""
        shape = np.zeros(0) if identity.shape is None else identity.shape
        content = np.concatenate([identity.embedding, shape]).astype("<f4").tobytes()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, content, self._bound())
        return f"{_VERSION}.{self._shown}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def open(self, token: str) -> Identity:
        """What was sealed.

        Raises:
            ServingError: INVALID_IDENTITY: no token, one of other weights, or one that this key did
                not seal.
        """
        parts = _TOKEN.fullmatch(token) if len(token) <= _MAX_TOKEN else None
        if parts is None:
            raise _refusal(f"it is no identity token (it has {len(token)} characters)")
        version, shown, text = parts.groups()
        if version != _VERSION:
            raise _refusal(f"it is of the form {version}; this server knows {_VERSION}")
        if shown != self._shown:
            raise _refusal(
                f"it was issued for other weights ({shown}; those behind this server are "
                f"{self._shown}), whose embeddings mean nothing here"
            )
        return _identity(self._decrypted(text))

    def _decrypted(self, text: str) -> bytes:
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound())
        except (InvalidTag, ValueError, binascii.Error):
            raise _refusal(
                "it was altered, or sealed with another key: that of another server, or of this "
                f"one before it was started again without {IDENTITY_KEY_VARIABLE}"
            ) from None

    def _bound(self) -> bytes:
        return f"{_VERSION} {self._space}".encode()


def identity_key(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The key in `MIEN_IDENTITY_KEY`; None where it is not set.

    Raises:
        ValueError: it is not base64 of 32 bytes.
    """
    text = environment.get(IDENTITY_KEY_VARIABLE)
    if text is None:
        return None
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{IDENTITY_KEY_VARIABLE} must be {KEY_BYTES} random bytes in base64, such as "
            "`openssl rand -base64 32` prints; its value is something else"
        )
    return key


def new_identity_key() -> str:
    """A random key in the form of `MIEN_IDENTITY_KEY`."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _identity(content: bytes) -> Identity:
    numbers = np.frombuffer(content, "<f4").astype(np.float32)
    shape = numbers[EMBEDDING_COUNT:]
    return Identity(numbers[:EMBEDDING_COUNT], shape if shape.size else None)


def _refusal(why: str) -> ServingError:
    return ServingError(
        "INVALID_IDENTITY",
        f"identity_token cannot be used: {why}. Send a photograph, or a token that this server has "
        "issued",
    )
