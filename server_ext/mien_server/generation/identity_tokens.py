# SPDX-License-Identifier: Apache-2.0
"""Identities as sealed tokens.

A generator that takes anybody's recognition embedding shows the face behind a stolen template. So
an embedding travels only as a token that this server has sealed, see `mien_server.sealing`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.sealing import SealError, Seals

__all__ = ["EMBEDDING_COUNT", "Identity", "IdentityTokens"]

EMBEDDING_COUNT = 512
FORM, MAX_CHARS = "mien1", 8192


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
        self._seals = Seals(key, form=FORM, name="identity token", space=space, max_chars=MAX_CHARS)

    def seal(self, identity: Identity) -> str:
        """An identity as about 3,300 characters of ASCII; never the same twice."""
        shape = np.zeros(0) if identity.shape is None else identity.shape
        return self._seals.seal(np.concatenate([identity.embedding, shape]).astype("<f4").tobytes())

    def open(self, token: str) -> Identity:
        """What was sealed.

        Raises:
            ServingError: INVALID_IDENTITY: no token, one of other weights, or one that this key did
                not seal.
        """
        try:
            content = self._seals.open(token)
        except SealError as why:
            raise ServingError(
                "INVALID_IDENTITY",
                f"identity_token cannot be used: {why}. Send a photograph, or a token that this "
                "server has issued",
            ) from None
        numbers = np.frombuffer(content, "<f4").astype(np.float32)
        shape = numbers[EMBEDDING_COUNT:]
        return Identity(numbers[:EMBEDDING_COUNT], shape if shape.size else None)
