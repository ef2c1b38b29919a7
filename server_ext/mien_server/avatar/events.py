# SPDX-License-Identifier: Apache-2.0
"""What a caller is told while its avatar is made."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.generation.events import EventStream

__all__ = ["Stage", "Telling", "avatar_event"]

Array = NDArray[Any]


class Stage(Enum):
    """The output `stage`."""

    FIT = "fit"
    DETAIL = "detail"
    TEXTURE = "texture"
    HAIR = "hair"
    QUALITY = "quality"
    FILE = "file"


_NUMBERS = {"stages_done": np.int32, "stages": np.int32, "untrained": np.bool_}


class Telling:
    """Tells of stages, where that is wanted, and stops the work once nobody listens.

    Args:
        stream: to the caller.
        stages: of this request, in no order.
        wanted: whether each is told.
    """

    def __init__(self, stream: EventStream, stages: frozenset[Stage], *, wanted: bool) -> None:
        self._stream, self._stages, self._wanted = stream, stages, wanted
        self._done = 0

    def done(self, stage: Stage) -> None:
        """A stage has just been done; others of no concern to this request are passed over.

        Raises:
            ServingError: CANCELLED, nobody listens any more.
        """
        if stage not in self._stages:
            return
        self._done += 1
        if self._stream.is_cancelled():
            raise ServingError("CANCELLED", "the caller went away before the avatar was done")
        if self._wanted:
            self._stream.send(
                avatar_event(
                    "stage",
                    stage=stage.value,
                    stages_done=self._done,
                    stages=len(self._stages),
                )
            )


def avatar_event(kind: str, **values: Any) -> dict[str, Array]:
    """Tensors of an event: arrays as they are, texts and bytes, and single numbers, by output."""
    tensors: dict[str, Array] = {"event": np.array([kind.encode()], object)}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            tensors[name] = value
        elif isinstance(value, (str, bytes)):
            data = value.encode() if isinstance(value, str) else value
            tensors[name] = np.array([data], object)
        else:
            tensors[name] = np.array([value], _NUMBERS.get(name, np.float32))
    return tensors
