# SPDX-License-Identifier: Apache-2.0
"""What a caller may tune: deadlines, retries, TLS, message limits. Every default has a name."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mien._errors import InvalidOptionError

__all__ = ["MessageLimits", "Retry", "Tls", "checked_address", "checked_deadline_s", "metadata"]

DEFAULT_ADDRESS = "localhost:8001"  # Triton's gRPC port

# One deadline per method, in seconds; it covers connecting, queues, work and all retries.
VERIFY_DEADLINE_S = 30.0
EMBED_DEADLINE_S = 30.0
FIT_DEADLINE_S = 30.0
GENERATE_DEADLINE_S = 600.0  # of all faces or identities of one call
AVATAR_DEADLINE_S = 120.0
AVATAR_CHANGE_DEADLINE_S = 30.0  # other emotions, another hairstyle, another format
HAIRSTYLES_DEADLINE_S = 30.0
STATUS_DEADLINE_S = 5.0

MAX_RETRIES = 2
INITIAL_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0

UNTRAINED_CACHE_S = 60.0  # how long the answer "are these weights trained?" is believed

_MAX_IMAGE_BYTES = 33_554_432  # parameter max_bytes of face_cropper
MAX_SEND_BYTES = 2 * _MAX_IMAGE_BYTES + 1_048_576  # two images and 1 MiB for everything around them
MAX_RECEIVE_BYTES = 134_217_728  # an avatar with every strand of its hair and 1024 texels


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently an UNAVAILABLE server is asked again.

    Waiting is "full jitter": uniform between 0 and a cap that doubles with each retry, so that
    clients that failed together do not come back together.

    Args:
        max_retries: attempts after the first one, >= 0; 0 switches retries off.
        initial_backoff_s: cap of the first wait, > 0.
        max_backoff_s: what the cap never exceeds, >= `initial_backoff_s`.

    Raises:
        InvalidOptionError: a value outside its range.
    """

    max_retries: int = MAX_RETRIES
    initial_backoff_s: float = INITIAL_BACKOFF_S
    max_backoff_s: float = MAX_BACKOFF_S

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise InvalidOptionError(
                f"max_retries is {self.max_retries}; allowed is 0 or more. Use 0 for no retries"
            )
        if not 0 < self.initial_backoff_s <= self.max_backoff_s < math.inf:
            raise InvalidOptionError(
                f"backoffs are {self.initial_backoff_s} s -> {self.max_backoff_s} s; expected "
                "0 < initial_backoff_s <= max_backoff_s, finite. Leave them out for the defaults"
            )

    def backoff_s(self, retry_index: int, jitter: float) -> float:
        """Seconds to wait before a retry.

        Args:
            retry_index: 0 before the first retry.
            jitter: uniform in [0, 1).
        """
        # 2.0**1024 overflows; far below that the cap has won.
        doublings = min(retry_index, 64)
        return jitter * min(self.max_backoff_s, self.initial_backoff_s * 2.0**doublings)


@dataclass(frozen=True, slots=True)
class Tls:
    """Encryption and, with a certificate of one's own, mutual authentication.

    Args:
        root_certificates: PEM of the authorities to trust, as a path or as bytes; None trusts the
            roots that gRPC ships.
        private_key: PEM of the client's key, as a path or as bytes; needs `certificate_chain`.
        certificate_chain: PEM of the client's certificate, as a path or as bytes.
        server_name: the name the server's certificate must carry, where it is not the one in the
            address.

    Raises:
        InvalidOptionError: a key without a certificate, or the reverse.
    """

    root_certificates: str | os.PathLike[str] | bytes | None = None
    private_key: str | os.PathLike[str] | bytes | None = None
    certificate_chain: str | os.PathLike[str] | bytes | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.private_key is None) != (self.certificate_chain is None):
            raise InvalidOptionError(
                "one of private_key and certificate_chain is missing; a client certificate needs "
                "both. Pass both or neither"
            )

    def pem(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Roots, key and chain as bytes, in the order in which gRPC takes them.

        Raises:
            InvalidOptionError: a file cannot be read.
        """
        return (
            _pem("root_certificates", self.root_certificates),
            _pem("private_key", self.private_key),
            _pem("certificate_chain", self.certificate_chain),
        )


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The largest messages to send and to accept.

    Args:
        send_bytes: one request with its images.
        receive_bytes: one answer.
    """

    send_bytes: int = MAX_SEND_BYTES
    receive_bytes: int = MAX_RECEIVE_BYTES


def checked_address(address: str) -> str:
    """`address` itself, or a refusal that says how one looks.

    Raises:
        InvalidOptionError: empty, or an HTTP URL.
    """
    if not address or address.startswith(("http://", "https://")):
        raise InvalidOptionError(
            f"address is {address!r}; expected host:port of Triton's gRPC endpoint, such as "
            f"{DEFAULT_ADDRESS!r}. Drop the scheme, and pass tls=Tls() for an encrypted connection"
        )
    return address


def checked_deadline_s(deadline_s: float) -> float:
    """`deadline_s` itself, if it is a number of seconds to wait.

    Raises:
        InvalidOptionError: zero, negative, infinite or NaN.
    """
    if not 0 < deadline_s < math.inf:
        raise InvalidOptionError(
            f"deadline_s is {deadline_s}; expected a finite number of seconds above 0. "
            "Leave it out for the default of the method"
        )
    return deadline_s


def metadata(headers: Mapping[str, str] | None, api_key: str | None) -> tuple[tuple[str, str], ...]:
    """Metadata that goes with every call.

    Args:
        headers: names are lowered, as HTTP/2 wants them.
        api_key: sent as ``authorization: Bearer ...``; readable on the way without TLS.

    Raises:
        InvalidOptionError: a name or value that gRPC cannot carry. The value is not repeated: it
            may be a secret.
    """
    pairs = [(name.lower(), value) for name, value in (headers or {}).items()]
    if api_key is not None:
        pairs.append(("authorization", f"Bearer {api_key}"))
    for name, value in pairs:
        printable = value.isascii() and value.isprintable()
        if not (name and printable and all(c.isalnum() or c in "-_." for c in name)):
            raise InvalidOptionError(
                f"header {name!r} cannot be sent; expected a name of letters, digits, '-', '_' and "
                "'.', and a value of printable ASCII. Encode it, for example as base64"
            )
    return tuple(pairs)


def _pem(what: str, source: str | os.PathLike[str] | bytes | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InvalidOptionError(
            f"{what} {os.fspath(source)!r} cannot be read: {error.strerror}. Pass the path of a "
            "readable PEM file, or its bytes"
        ) from error
