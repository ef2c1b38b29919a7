# SPDX-License-Identifier: Apache-2.0
"""Adapter of the stage `face_cropper`; the work is in `mien_server.face_cropper_pipeline`."""

from typing import Any

import numpy as np

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract
from mien_server.detection import DETECTOR_INPUT, DETECTOR_OUTPUTS
from mien_server.face_cropper_pipeline import CropRequest, crop_requests, cropper_from_contract
from mien_server.landmarking import LANDMARKER_INPUT, LANDMARKER_OUTPUTS
from mien_server.threads import thread_budget


class TritonPythonModel:
    """Photographs in, aligned crops out."""

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.cropper = cropper_from_contract(
            contract,
            threads=thread_budget(),
            infer_detector=infer_detector,
            infer_landmarker=infer_landmarker,
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_wanted(
            requests, lambda wanted: crop_requests(self.cropper, [*map(crop_request, wanted)])
        )


def crop_request(request: Any) -> CropRequest:
    """Read one Triton request."""
    images = [bytes(item) for item in triton.input_array(request, "image").ravel()]
    count = len(images)
    return CropRequest(
        images=images,
        policies=triton.input_texts(request, "face_policy", count=count, default="largest"),
        on_error=triton.input_texts(request, "on_error", count=count, default="raise"),
        outputs=frozenset(request.requested_output_names()),
    )


def infer_detector(images_rgb: np.ndarray) -> tuple[np.ndarray, ...]:
    """Call the graph `face_detector`, where the config names it."""
    found = triton.call_model("face_detector", {DETECTOR_INPUT: images_rgb}, DETECTOR_OUTPUTS)
    return tuple(found[name] for name in DETECTOR_OUTPUTS)


def infer_landmarker(face_128: np.ndarray) -> tuple[np.ndarray, ...]:
    """Call the graph `face_landmarker`, where the config names it."""
    found = triton.call_model("face_landmarker", {LANDMARKER_INPUT: face_128}, LANDMARKER_OUTPUTS)
    return tuple(found[name] for name in LANDMARKER_OUTPUTS)
