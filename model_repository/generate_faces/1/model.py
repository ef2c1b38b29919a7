# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `generate_faces`; the work is in `mien_server.generation`."""

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract
from mien_server.generation.generator import generator_from_contract


class TritonPythonModel:
    """Identities and styles in, streams of events out."""

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.names = [tensor.name for tensor in contract.inputs]
        self.generator = generator_from_contract(contract, triton.call_models)
        self.generator.start()

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            stream = triton.TritonEventStream(request)
            self.generator.submit(triton.given_arrays(request, self.names), stream)

    def finalize(self) -> None:
        self.generator.stop()
