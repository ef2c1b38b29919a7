# SPDX-License-Identifier: Apache-2.0
"""What moves in a face where an emotion is shown, and whether it is what should.

Letters  N heads, V vertices, A facial actions, M movements. Landmarks are the 68 of iBUG; left and
         right are the person's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from mien_export.head_model import HeadModel
from mien_export.networks.emotion_mlp import EMOTIONS, NUM_EMOTION_EXPRESSION
from mien_export.networks.flame import Flame
from mien_starter.emotions.faces import head_codes
from mien_starter.emotions.units import prototype_units, unit_actions

__all__ = ["EXPECTED", "Faces", "actions_of_emotions", "as_expected", "foreign_mm", "movements_mm"]

Array = NDArray[Any]

_MM = 1000.0
_AT_ONCE = 64
_MOVES_MM = 0.05  # less than that is no movement

# Which way each emotion moves what: what is seen of its core units.
EXPECTED: Mapping[str, Mapping[str, int]] = {
    "happiness": {"mouth_corners_up": 1, "mouth_wider": 1, "lips_apart": 1, "eyes_open": -1},
    "anger": {"inner_brows_up": -1, "brows_apart": -1, "eyes_open": -1},
    "sadness": {"inner_brows_up": 1, "mouth_corners_up": -1},
    "fear": {"inner_brows_up": 1, "eyes_open": 1, "mouth_wider": 1, "lips_apart": 1, "chin_up": -1},
    "contempt": {"left_corner_up": 1, "left_corner_out": 1},
    "surprise": {
        "inner_brows_up": 1, "outer_brows_up": 1, "eyes_open": 1, "lips_apart": 1, "chin_up": -1
    },
}  # fmt: skip


class Faces:
    """Codes to vertices and landmarks of a head, by the decoder that is served."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self.face = head.regions.get("face", np.ones(head.num_vertices, bool))
        self._flame = Flame(head).eval()

    @torch.no_grad()
    def decode(self, shape: Array, codes: Array) -> tuple[Array, Array]:
        """Decode heads.

        Args:
            shape: (N, K) coefficients, K up to 300.
            codes: (N, 56) 50 of expression, global pose and jaw.

        Returns:
            (N, V, 3) vertices and (N, 68, 3) landmarks, metres.
        """
        expression, pose = head_codes(codes)
        full = np.zeros((len(codes), 300), np.float32)
        full[:, : shape.shape[1]] = shape
        parts = []
        for start in range(0, len(codes), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            inputs = (torch.from_numpy(array[rows]) for array in (full, expression, pose))
            parts.append(self._flame(*inputs)[:2])
        vertices, landmarks = (
            torch.cat(list(pieces)).numpy() for pieces in zip(*parts, strict=True)
        )
        return vertices, landmarks

    def apart_mm(self, shape: Array, codes: Array, others: Array) -> Array:
        """(N,) mean distance of the face's vertices between two expressions of one head each."""
        first, second = self.decode(shape, codes)[0], self.decode(shape, others)[0]
        off = np.linalg.norm(first[:, self.face] - second[:, self.face], axis=2)
        return np.asarray(off.mean(axis=1) * _MM)


def movements_mm(landmarks: Array, neutral: Array) -> dict[str, Array]:
    """How far parts of faces moved.

    Args:
        landmarks: (N, 68, 3) metres.
        neutral: (N, 68, 3) of the same heads at rest.

    Returns:
        By movement (N,) millimetres.
    """
    moved = (landmarks - neutral) * _MM
    right, left, up = moved[:, 48], moved[:, 54], moved[..., 1]
    lids = up[:, [37, 38, 43, 44]].mean(axis=1) - up[:, [40, 41, 46, 47]].mean(axis=1)
    return {
        "inner_brows_up": up[:, [21, 22]].mean(axis=1),
        "outer_brows_up": up[:, [17, 26]].mean(axis=1),
        "brows_apart": moved[:, 22, 0] - moved[:, 21, 0],
        "eyes_open": lids,
        "mouth_corners_up": (left[:, 1] + right[:, 1]) / 2,
        "left_corner_up": left[:, 1] - right[:, 1],
        "left_corner_out": left[:, 0] + right[:, 0],
        "mouth_wider": left[:, 0] - right[:, 0],
        "lips_apart": up[:, 62] - up[:, 66],
        "chin_up": up[:, 8],
    }


def as_expected(emotion: str, found: Mapping[str, Array]) -> NDArray[np.bool_]:
    """(N, M) of each head and each of the M expected movements: whether it is the right way."""
    rows = [found[name] * sign > _MOVES_MM for name, sign in EXPECTED[emotion].items()]
    return np.stack(rows, axis=1)


def actions_of_emotions(names: Sequence[str]) -> NDArray[np.bool_]:
    """(6, A) actions that any unit of an emotion uses, optional units too."""
    core, optional = prototype_units()
    actions, _ = unit_actions(names)
    used: NDArray[np.bool_] = (core + optional) @ actions > 0
    return used


def foreign_mm(head: HeadModel, emotion: str, codes: Array) -> Array:
    """How far faces are moved by what is none of an emotion's own actions.

    The expression is taken apart into the actions of the emotion, none of them negative; what is
    left over is foreign.

    Args:
        head: whose codes they are.
        emotion: of `EMOTIONS`.
        codes: (N, 56).

    Returns:
        (N,) mean distance over the face, millimetres.
    """
    face = head.regions.get("face", np.ones(head.num_vertices, bool))
    basis = head.shapedirs[face, :, 300 : 300 + NUM_EMOTION_EXPRESSION].astype(np.float64)
    basis = basis.reshape(-1, NUM_EMOTION_EXPRESSION) * _MM
    own = actions_of_emotions(head.action_names)[EMOTIONS.index(emotion)]
    moves = basis @ head.expression_from_actions[:NUM_EMOTION_EXPRESSION, own]
    found = []
    for moved in codes[:, :NUM_EMOTION_EXPRESSION] @ basis.T:
        strengths, _ = nnls(moves, moved)
        left = (moved - moves @ strengths).reshape(-1, 3)
        found.append(np.linalg.norm(left, axis=1).mean())
    return np.array(found)


assert tuple(EXPECTED) == EMOTIONS
