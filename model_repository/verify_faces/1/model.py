# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `verify_faces`; the work is in `mien_server.verify_pipeline`."""

from functools import partial
from typing import Any

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract
from mien_server.decision import decision_rule_from_contract
from mien_server.verify_pipeline import EMBED_OUTPUTS, VerifyRequest, verify_requests

embed_faces = partial(triton.call_model, "embed_faces", outputs=EMBED_OUTPUTS)


class TritonPythonModel:
    """Pairs of photographs in, similarities and decisions out."""

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.rule = decision_rule_from_contract(contract)
        self.untrained = contract.flag("untrained")

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_wanted(requests, self.verify)

    def verify(self, requests: list[Any]) -> list[Any]:
        """All pairs of all requests in one call of embed_faces."""
        return verify_requests(
            [*map(verify_request, requests)],
            embed_faces,
            rule=self.rule,
            untrained=self.untrained,
        )


def verify_request(request: Any) -> VerifyRequest:
    """Read one Triton request."""
    probe_image = triton.input_array(request, "probe_image")
    count = len(probe_image)
    return VerifyRequest(
        probe_image=probe_image,
        reference_image=triton.input_array(request, "reference_image"),
        policies=triton.input_texts(request, "face_policy", count=count, default="largest"),
        on_error=triton.input_texts(request, "on_error", count=count, default="raise"),
        fmr=triton.input_numbers(request, "fmr", count=count),
    )
