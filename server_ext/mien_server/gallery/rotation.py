# SPDX-License-Identifier: Apache-2.0
"""Cancellable templates: what is kept and compared is a template turned by a secret rotation.

The rotation follows from the gallery's key and salt, and leaves every cosine as it is. In the terms
of ISO/IEC 24745 it gives *renewability* (another salt or key makes new references from the old
ones, without anybody's photograph) and, as long as the key is secret, *unlinkability* (the same
face in two galleries looks like two strangers) and *confidentiality* of a vector that leaks alone,
from memory, an index or a vector database: networks that turn templates into faces cannot read it.

What it does not give is *irreversibility*: whoever has the key turns templates back. Without the
key, 512 templates that are known both plain and turned determine the rotation, so nobody who may
enrol faces of his choice should also see stored vectors; many turned templates of a population
whose statistics are known let it be estimated; and cosines inside one gallery are there for anybody
who holds two of its vectors. Hence vectors are sealed at rest as well (`record_log`).
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from mien_server.gallery.keys import derived_key

__all__ = ["TEMPLATE_COUNT", "Rotation"]

TEMPLATE_COUNT = 512  # numbers of a template


class Rotation:
    """The rotation of one gallery: one product with a matrix.

    Args:
        key: 32 bytes, the operator's.
        salt: the gallery's own, not secret.
    """

    def __init__(self, key: bytes, salt: bytes) -> None:
        normal = _normal_numbers(derived_key(key, salt, "rotation"), TEMPLATE_COUNT**2)
        q, r = np.linalg.qr(normal.reshape(TEMPLATE_COUNT, TEMPLATE_COUNT))
        # With these signs every rotation is as likely as every other (Mezzadri 2007, section 5).
        self._matrix = (q * np.where(np.diag(r) < 0, -1.0, 1.0)).astype(np.float32)

    def turn(self, templates: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 512) templates of unit length, turned; cosines among them move by rounding alone."""
        turned: NDArray[np.float32] = templates @ self._matrix
        return turned

    def turn_back(self, turned: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 512): the inverse of `turn`."""
        templates: NDArray[np.float32] = turned @ self._matrix.T
        return templates


def _normal_numbers(key: bytes, count: int) -> NDArray[np.float64]:
    """Normally distributed numbers from a stream cipher (Box and Muller 1958), count even.

    numpy's generators are neither secret nor promised to give the same numbers in later versions.
    """
    stream = Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(8 * count))
    uniform = ((np.frombuffer(stream, "<u8") >> np.uint64(11)) + 0.5) / 2**53  # in (0, 1)
    radius = np.sqrt(-2 * np.log(uniform[::2]))
    angle = 2 * np.pi * uniform[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
