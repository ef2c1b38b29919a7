# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `fit_faces`; the work is in `mien_server.fit_pipeline`."""

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract
from mien_server.fit_encoding import FitEncoders
from mien_server.fit_pipeline import FitRequest, fit_requests


class TritonPythonModel:
    """Photographs in, fitted heads out."""

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.untrained = contract.flag("untrained")
        self.encoders = FitEncoders(
            has_mica=contract.parameter("mica_encoder") != "none",
            mirrored_shape=contract.flag("mirrored_shape"),
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_wanted(requests, self.fit)

    def fit(self, requests: list[Any]) -> list[Any]:
        """All photographs of all requests through one call of each model."""
        return fit_requests(
            [*map(fit_request, requests)],
            triton.call_models,
            encoders=self.encoders,
            untrained=self.untrained,
        )


def fit_request(request: Any) -> FitRequest:
    """Read one Triton request."""
    image = triton.input_array(request, "image")
    count = len(image)
    return FitRequest(
        image=image,
        policies=triton.input_texts(request, "face_policy", count=count, default="largest"),
        on_error=triton.input_texts(request, "on_error", count=count, default="raise"),
        shape_sources=triton.input_texts(request, "shape_source", count=count, default=""),
        outputs=frozenset(request.requested_output_names()),
    )
