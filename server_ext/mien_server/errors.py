# SPDX-License-Identifier: Apache-2.0
"""Refusals with a machine-readable code, and the gRPC status each one becomes.

On the wire a refusal reads ``mien.CODE: text``. Triton puts words of its own before it when it
passes through an ensemble, so it is searched for, never compared. The table is `docs/errors.md`.
"""

from __future__ import annotations

import re

__all__ = ["STATUS_OF_CODE", "ServingError", "serving_error_from_message"]

# Names of constants of pb_utils.TritonError, so that this module needs no Triton.
STATUS_OF_CODE: dict[str, str] = {
    "EMPTY_IMAGE": "INVALID_ARG",
    "UNSUPPORTED_FORMAT": "INVALID_ARG",
    "UNDECODABLE_IMAGE": "INVALID_ARG",
    "IMAGE_TOO_LARGE": "INVALID_ARG",
    "IMAGE_TOO_SMALL": "INVALID_ARG",
    "NO_FACE": "INVALID_ARG",
    "MULTIPLE_FACES": "INVALID_ARG",
    "FACE_TOO_SMALL": "INVALID_ARG",
    "FACE_TURNED_AWAY": "INVALID_ARG",
    "INVALID_OPTION": "INVALID_ARG",
    "INVALID_TENSOR": "INVALID_ARG",
    "INVALID_IDENTITY": "INVALID_ARG",
    "INVALID_AVATAR": "INVALID_ARG",
    "UNKNOWN_GALLERY": "INVALID_ARG",
    "GALLERY_EXISTS": "INVALID_ARG",
    "UNKNOWN_SUBJECT": "INVALID_ARG",
    "SUBJECT_EXISTS": "INVALID_ARG",
    "WRONG_GALLERY_KEY": "INTERNAL",
    "WRONG_GALLERY_SPACE": "INTERNAL",
    "GALLERY_DAMAGED": "INTERNAL",
    "GALLERY_UNWRITABLE": "INTERNAL",
    "GALLERY_LOCKED": "UNAVAILABLE",
    "CANCELLED": "CANCELLED",
    "MODEL_FAILED": "INTERNAL",
    "OVERLOADED": "UNAVAILABLE",
    "STOPPING": "UNAVAILABLE",
}

_TOKEN = re.compile(r"mien\.([A-Z_]+): (.*)", re.DOTALL)
# What Triton's own schedulers say when they turn a request away.
_QUEUE_FULL = re.compile(r"exceeds maximum queue size", re.IGNORECASE)
_STOPPING = re.compile(
    r"server is stopping|server not ready|has no available versions|is not at ready state",
    re.IGNORECASE,
)
_QUEUE_TIMEOUT = re.compile(r"request timeout expired|request.*cancel", re.IGNORECASE)


class ServingError(Exception):
    """A refusal that belongs to one item of one request.

    Args:
        code: a key of `STATUS_OF_CODE`.
        text: what came, what is allowed, what to do.

    Raises:
        KeyError: the code is not in the table.
    """

    def __init__(self, code: str, text: str) -> None:
        self.status = STATUS_OF_CODE[code]
        self.code = code
        self.text = text
        super().__init__(f"mien.{code}: {text}")

    def about(self, subject: str) -> ServingError:
        """The same refusal, saying which item of the request it is about."""
        return ServingError(self.code, f"{subject}: {self.text}")


def serving_error_from_message(message: str, *, callee: str) -> ServingError:
    """Read the refusal out of an error message that came from another model.

    Args:
        message: what Triton reports, with or without a ``mien.CODE`` token.
        callee: the model that was called, named where the message has no token.

    Returns:
        The refusal itself, or OVERLOADED, STOPPING, CANCELLED or MODEL_FAILED about the callee.
    """
    token = _TOKEN.search(message)
    if token and token.group(1) in STATUS_OF_CODE:
        return ServingError(token.group(1), token.group(2))
    if _QUEUE_FULL.search(message):
        return ServingError(
            "OVERLOADED", f"{callee} refused the call, its queue is full; try later"
        )
    if _STOPPING.search(message):
        return ServingError("STOPPING", f"{callee} is going away; send the request again")
    if _QUEUE_TIMEOUT.search(message):
        return ServingError("CANCELLED", f"{callee} dropped the call: {message}")
    return ServingError("MODEL_FAILED", f"{callee} failed: {message}")
