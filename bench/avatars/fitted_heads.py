# SPDX-License-Identifier: Apache-2.0
"""Heads as a server has them: at rest, as a photograph wears them, and moved by sliders.

All of them come over gRPC: codes from `create_avatar`, heads from `flame_decoder`, what sliders
move from `apply_emotion`.

Letters  V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray

from bench.avatars.in_process import texts
from bench.avatars.serving import infer
from mien import Avatar
from mien_export.head_model import HeadModel
from mien_server.avatar.expressions import TURN, at_rest
from mien_server.deca_codes import head_inputs

__all__ = ["FittedHead", "ServedHeads"]

Array = NDArray[Any]
_SAME_M = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """The head of an avatar, unturned.

    Attributes:
        neutral: (V, 3) metres at rest.
        detected: (V, 3) metres with the expression of the photograph.
    """

    neutral: NDArray[np.float32]
    detected: NDArray[np.float32]


class ServedHeads:
    """Asks a server for heads.

    Args:
        client: of its gRPC endpoint.
        head: that it should have.

    Raises:
        ValueError: it has another head.
    """

    def __init__(self, client: triton.InferenceServerClient, head: HeadModel) -> None:
        self._client = client
        mean = self._decoded(np.zeros((1, 236), np.float32), np.zeros((1, 300), np.float32))[0]
        if mean.shape != head.v_template.shape or np.abs(mean - head.v_template).max() > _SAME_M:
            raise ValueError(
                "the server has another head than the starter's, and the truth is known of that "
                "one only; serve a repository that was built with --weights starter"
            )

    def of(self, avatar: Avatar) -> FittedHead:
        """The head of an avatar."""
        codes = np.array(avatar.codes, np.float32)
        codes[TURN] = 0
        rows = np.stack([at_rest(codes), codes])
        shapes = np.tile(np.asarray(avatar.shape, np.float32), (2, 1))
        neutral, detected = self._decoded(rows, shapes)
        return FittedHead(neutral, detected)

    def movement(self, avatar_code: str, emotions: Array) -> tuple[NDArray[np.float32], str]:
        """What emotions move.

        Args:
            avatar_code: of an avatar.
            emotions: (6,) intensities.

        Returns:
            (V, 3) metres from the head at rest, and the code of the avatar that wears them.
        """
        inputs = {
            "avatar_code": texts(avatar_code.encode()),
            "emotions": np.asarray(emotions, np.float32),
            "output": texts(b"morph"),
        }
        answer = infer(self._client, "apply_emotion", inputs, "expression", "avatar_code")
        return answer["expression"], bytes(answer["avatar_code"][0]).decode()

    def _decoded(self, codes: Array, shapes: Array) -> NDArray[np.float32]:
        vertices: NDArray[np.float32] = infer(
            self._client, "flame_decoder", head_inputs(codes, shapes), "vertices"
        )["vertices"]
        return vertices
