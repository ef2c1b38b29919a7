# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `hairstyles`; the work is in `mien_server.avatar`."""

from functools import partial
from typing import Any

from mien_server import triton_adapter as triton
from mien_server.avatar.hairdressing import read_library
from mien_server.avatar.hairstyles_pipeline import hairstyles_answer
from mien_server.batch_answers import outcome
from mien_server.contract import ModelContract, version_folder


class TritonPythonModel:
    """Operations in, entries and previews out."""

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.names = [tensor.name for tensor in contract.inputs]
        self.library = read_library(version_folder(args))

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_wanted(requests, self.answer)

    def answer(self, requests: list[Any]) -> list[Any]:
        """One request after the other."""
        return [
            outcome(
                partial(hairstyles_answer, self.library), triton.given_arrays(request, self.names)
            )
            for request in requests
        ]
