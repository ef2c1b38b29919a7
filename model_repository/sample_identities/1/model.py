# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `sample_identities`; the work is in `mien_server.generation`."""

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract
from mien_server.generation.new_identities import IdentitySampler, sampler_from_contract


class TritonPythonModel:
    """Seeds in, tokens out."""

    sampler: IdentitySampler

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.names = [tensor.name for tensor in contract.inputs]
        self.sampler = sampler_from_contract(contract, triton.stream_model)

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_wanted(requests, self.sample)

    def sample(self, requests: list[Any]) -> list[Any]:
        """One search after the other."""
        return [
            self.sampler.answer(triton.given_arrays(request, self.names), request.is_cancelled)
            for request in requests
        ]
