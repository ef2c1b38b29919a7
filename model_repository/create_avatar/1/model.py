# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `create_avatar`; the work is in `mien_server.avatar`."""

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.avatar.creating import AvatarCreator, creator_from_contract
from mien_server.contract import ModelContract, version_folder


class TritonPythonModel:
    """Photographs in, streams of events out."""

    creator: AvatarCreator

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.names = [tensor.name for tensor in contract.inputs]
        self.creator = creator_from_contract(contract, version_folder(args), triton.call_models)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            stream = triton.TritonEventStream(request)
            self.creator.answer(triton.given_arrays(request, self.names), stream)

    def finalize(self) -> None:
        self.creator.close()
