# SPDX-License-Identifier: Apache-2.0
"""Adapter of the stage `style_renderer`; the work is in `mien_server.style_renderer_pipeline`."""

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract, version_folder
from mien_server.style_renderer_pipeline import (
    RENDER_INPUTS,
    RenderRequest,
    render_requests,
    renderer_from_contract,
)
from mien_server.threads import thread_budget


class TritonPythonModel:
    """Heads in, maps and pictures out."""

    def initialize(self, args: dict[str, str]) -> None:
        contract = ModelContract.from_json(args["model_config"])
        self.renderer = renderer_from_contract(
            contract, version_folder(args), threads=thread_budget()
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_each(
            requests, lambda given: render_requests(self.renderer, [*map(render_request, given)])
        )


def render_request(request: Any) -> RenderRequest:
    """Read one Triton request."""
    return RenderRequest(
        inputs={name: triton.input_array(request, name) for name in RENDER_INPUTS},
        outputs=frozenset(request.requested_output_names()),
    )
