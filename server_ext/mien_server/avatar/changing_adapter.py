# SPDX-License-Identifier: Apache-2.0
"""What the adapters of `apply_emotion` and `try_hairstyle` share; runs inside Triton alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from mien_server import triton_adapter as triton
from mien_server.avatar.changing import AvatarChanger, changer_from_contract
from mien_server.batch_answers import Answer, outcome
from mien_server.contract import ModelContract, version_folder

__all__ = ["ChangingModel"]

Array = NDArray[Any]


class ChangingModel:
    """One avatar after the other, changed by `answer`."""

    changer: AvatarChanger

    def initialize(self, args: dict[str, str]) -> None:
        """Read the contract and the files."""
        contract = ModelContract.from_json(args["model_config"])
        self.names = [tensor.name for tensor in contract.inputs]
        self.changer = changer_from_contract(contract, version_folder(args), triton.call_models)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer those that are still waited for."""
        return triton.answer_wanted(requests, self._change)

    def finalize(self) -> None:
        """Finish what was begun, then end."""
        self.changer.close()

    def answer(self, inputs: Mapping[str, Array], outputs: frozenset[str]) -> dict[str, Array]:
        """Change one avatar; each pipeline says how.

        Args:
            inputs: by name; what was left out is missing.
            outputs: names of those that are wanted.

        Raises:
            ServingError: what came cannot be used, or a model failed.
        """
        raise NotImplementedError

    def _change(self, requests: list[Any]) -> list[Answer]:
        return [
            outcome(
                partial(self.answer, outputs=frozenset(request.requested_output_names())),
                triton.given_arrays(request, self.names),
            )
            for request in requests
        ]
