# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `try_hairstyle`; the work is in `mien_server.avatar`."""

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.avatar.making import AvatarMaker, maker_from_contract
from mien_server.batch_answers import outcome
from mien_server.contract import ModelContract, version_folder


class TritonPythonModel:
    """Avatars and hairstyles in, avatars out."""

    maker: AvatarMaker

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.names = [tensor.name for tensor in contract.inputs]
        self.maker = maker_from_contract(contract, version_folder(args), triton.call_models)

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_wanted(requests, self.change)

    def change(self, requests: list[Any]) -> list[Any]:
        """One avatar after the other."""
        return [
            outcome(self.maker.with_hairstyle, triton.given_arrays(request, self.names))
            for request in requests
        ]

    def finalize(self) -> None:
        self.maker.close()
