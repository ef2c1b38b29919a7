# SPDX-License-Identifier: Apache-2.0
"""Two blocking calls for each request."""

from typing import Any

import numpy as np

from mien_server import triton_adapter as triton
from mien_server.verification import cosine_similarity

SIDES = ("probe", "reference")


class TritonPythonModel:
    """The form that tutorials show."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Each request by itself."""
        return triton.answer_each(requests, lambda wanted: [*map(self.verify, wanted)])

    def verify(self, request: Any) -> dict[str, Any]:
        """One pair."""
        probe, reference = (self.embed(request, f"{side}_image") for side in SIDES)
        similarity = cosine_similarity(probe, reference)
        return {"similarity": similarity[:, None]}

    def embed(self, request: Any, name: str) -> np.ndarray:
        """One side."""
        images = triton.input_array(request, name)
        embedded = triton.call_model("embed_faces", {"image": images}, ["embedding"])
        return embedded["embedding"]
