# SPDX-License-Identifier: Apache-2.0
"""What a caller is told while its faces are made: one response of the stream each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError

__all__ = ["EventKind", "EventStream", "event"]

Array = NDArray[Any]


class EventKind(Enum):
    """The output `event`, and what comes with it."""

    STARTED = "started"  # identity_token, steps
    PROGRESS = "progress"  # steps_done, steps
    PREVIEW = "preview"  # index, steps_done, steps, image or pixels
    FACE = "face"  # index, seed, similarity, codes, image or pixels


class EventStream(Protocol):
    """The way back to one caller; its methods may be called from any thread."""

    def is_cancelled(self) -> bool:
        """True once nobody listens any more."""

    def send(self, tensors: Mapping[str, Array]) -> None:
        """One response."""

    def close(self) -> None:
        """No response will follow."""

    def fail(self, error: ServingError) -> None:
        """A refusal, and no response after it."""


_DTYPES: Mapping[str, Any] = {
    "index": np.int32,
    "seed": np.uint64,
    "steps_done": np.int32,
    "steps": np.int32,
    "similarity": np.float32,
    "untrained": np.bool_,
}


def event(kind: EventKind, **values: Any) -> dict[str, Array]:
    """Tensors of an event; outputs that it has no value for are left out.

    Args:
        kind: of the event.
        values: arrays as they are, texts as str or bytes, and single numbers, by output.
    """
    tensors: dict[str, Array] = {"event": _text(kind.value)}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            tensors[name] = value
        elif name in _DTYPES:
            tensors[name] = np.array([value], _DTYPES[name])
        else:
            tensors[name] = _text(value)
    return tensors


def _text(value: str | bytes) -> Array:
    return np.array([value.encode() if isinstance(value, str) else value], dtype=np.object_)
