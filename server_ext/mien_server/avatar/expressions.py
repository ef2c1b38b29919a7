# SPDX-License-Identifier: Apache-2.0
"""What a person's head looks like at rest, and how expressions and emotions move it.

Letters  N heads, V vertices. Frame of the head: metres, y up, face towards +z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.choices import EMOTIONS
from mien_server.deca_codes import CODE_PARTS, head_inputs
from mien_server.errors import ServingError
from mien_server.model_call import CallModels, ModelCall

__all__ = ["HeadShapes", "Heads", "at_rest", "checked_pose_values", "emotion_call", "wearing"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

# Of DECA's six values of pose: the turn of the whole head, then the jaw.
TURN, JAW = slice(200, 203), slice(203, 206)
EMOTION_SHAPE_COUNT = 50
POSE_VALUES = ("global jaw", "neck global")


@dataclass(frozen=True, slots=True, eq=False)
class HeadShapes:
    """A head and its movements.

    Attributes:
        neutral: (V, 3) metres at rest.
        worn: (V, 3) metres that the worn expression moves it.
        emotions: (6, V, 3) metres that each whole emotion does, in the order of `EMOTIONS`.
    """

    neutral: Floats
    worn: Floats
    emotions: Floats


def checked_pose_values(text: str) -> str:
    """The parameter `pose_values` of a contract.

    Raises:
        ValueError: it is none of those that there are.
    """
    if text not in POSE_VALUES:
        raise ValueError(f"pose_values is {text!r}; it must be one of {', '.join(POSE_VALUES)}")
    return text


def at_rest(codes: Floats) -> Floats:
    """(236,) codes without expression, and with the head and jaw unturned."""
    rest = codes.copy()
    rest[CODE_PARTS["expression"]] = 0
    rest[CODE_PARTS["pose"]] = 0
    return rest


def emotion_call(emotions: Sequence[Floats], shape: Floats) -> ModelCall:
    """Ask `emotion_mlp` about (6,) intensities, several at once, of one person."""
    shapes = np.tile(shape[:EMOTION_SHAPE_COUNT], (len(emotions), 1))
    inputs = {"emotions": np.stack(emotions).astype(np.float32), "shape": shapes}
    return ModelCall("emotion_mlp", inputs, ("expression", "pose"))


def wearing(codes: Floats, expression: Floats, pose: Floats, pose_values: str) -> Floats:
    """(236,) codes that wear an emotion instead.

    How an emotion turns the neck or the whole head is left out: hair hangs on joints, and would
    stay behind.

    Args:
        codes: (236,) of the person.
        expression: (50,) of `emotion_mlp`.
        pose: (6,) of `emotion_mlp`.
        pose_values: which joints these turn.
    """
    worn = codes.copy()
    worn[CODE_PARTS["expression"]] = expression
    worn[JAW] = pose[3:] if pose_values == "global jaw" else 0
    return worn


class Heads:
    """Heads of people by the graphs `emotion_mlp` and `flame_decoder`.

    Args:
        call_models: makes calls; from any thread.
        pose_values: of `emotion_mlp`.
    """

    def __init__(self, call_models: CallModels, pose_values: str) -> None:
        self._call_models = call_models
        self._pose_values = checked_pose_values(pose_values)

    def with_emotions(self, codes: Floats, shape: Floats, emotions: Floats) -> Floats:
        """(236,) codes that wear (6,) emotions."""
        answer = self._call_models([emotion_call([emotions], shape)])[0]
        return wearing(codes, answer["expression"][0], answer["pose"][0], self._pose_values)

    def shapes(
        self, codes: Floats, shape: Floats, emotions: Floats | None = None
    ) -> tuple[Floats, HeadShapes]:
        """A head with what it wears, and with each emotion.

        Args:
            codes: (236,) of the person.
            shape: (300,) of the person.
            emotions: (6,) that it shall wear; None for what the codes wear.

        Returns:
            (236,) codes that wear the same, and the head.

        Raises:
            ServingError: MODEL_FAILED: vertices are no finite numbers.
        """
        asked = list(np.eye(len(EMOTIONS), dtype=np.float32))
        asked += [] if emotions is None else [emotions]
        answer = self._call_models([emotion_call(asked, shape)])[0]
        shown = [
            wearing(codes, *pair, self._pose_values)
            for pair in zip(answer["expression"], answer["pose"], strict=True)
        ]
        worn = codes if emotions is None else shown.pop()
        vertices = self.vertices([at_rest(codes), worn, *shown], shape)
        deltas = vertices[1:] - vertices[0]
        return worn, HeadShapes(vertices[0], deltas[0], deltas[1:])

    def worn(self, codes: Floats, shape: Floats) -> Floats:
        """(V, 3) metres that what the codes wear moves the head."""
        rest, worn = self.vertices([at_rest(codes), codes], shape)
        return np.asarray(worn - rest, np.float32)

    def vertices(self, codes: Sequence[Floats], shape: Floats, *, turned: bool = False) -> Floats:
        """(N, V, 3) of (236,) codes of one person.

        Args:
            codes: N of them.
            shape: (300,) of the person.
            turned: as the codes have the whole head; otherwise it faces +z.

        Raises:
            ServingError: MODEL_FAILED: they are no finite numbers.
        """
        rows = np.stack(codes)
        if not turned:
            rows[:, TURN] = 0
        inputs = head_inputs(rows, np.tile(shape, (len(rows), 1)).astype(np.float32))
        call = ModelCall("flame_decoder", inputs, ("vertices",))
        vertices = np.asarray(self._call_models([call])[0]["vertices"], np.float32)
        if not np.isfinite(vertices).all():
            raise ServingError(
                "MODEL_FAILED",
                "flame_decoder answered with vertices that are no finite numbers; look at the "
                "photograph, and at the precision and the weights behind the avatar",
            )
        return vertices
