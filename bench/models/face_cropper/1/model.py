# SPDX-License-Identifier: Apache-2.0
"""Stands for face_cropper where only the calls between models are measured: it decodes nothing."""

from typing import Any

import numpy as np

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract


class TritonPythonModel:
    """Any bytes in, a crop made of their length out."""

    def initialize(self, args: dict[str, str]) -> None:
        """Learn the crop's size."""
        contract = ModelContract.from_json(args["model_config"])
        (self.dims,) = (spec.dims for spec in contract.outputs if spec.name == "crop_112")

    def execute(self, requests: list[Any]) -> list[Any]:
        """All of a batch."""
        return triton.answer_each(requests, lambda wanted: [*map(self.crop, wanted)])

    def crop(self, request: Any) -> dict[str, Any]:
        """One request."""
        images = triton.input_array(request, "image").ravel()
        count = len(images)
        lengths = np.array([len(image) for image in images], np.float32)
        crops = np.broadcast_to(lengths[:, None, None, None], (count, *self.dims)).copy()
        return {
            "crop_112": crops,
            "box_xyxy": np.zeros((count, 4), np.float32),
            "landmarks": np.zeros((count, 5, 2), np.float32),
            "alignment": np.full((count, 1), b"box", dtype=np.object_),
            "detection_score": np.ones((count, 1), np.float32),
            "face_count": np.ones((count, 1), np.int32),
            "error": np.full((count, 1), b"", dtype=np.object_),
        }
