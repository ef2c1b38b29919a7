# SPDX-License-Identifier: Apache-2.0
"""Triton's `backend: "onnxruntime"` where the native one is absent: the embedded server.

NVIDIA's image runs its own C++ backend on the very same config and graph.
"""

from __future__ import annotations

from typing import Any

from mien_server import triton_adapter as triton
from mien_server.contract import ModelContract, version_folder
from mien_server.onnx_backend import run_batch
from mien_server.onnx_session import OnnxGraph, cuda_is_usable
from mien_server.threads import thread_budget


class TritonPythonModel:
    """One instance of one graph."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph the config names and hold it to the config."""
        self.contract = ModelContract.from_json(args["model_config"])
        # KIND_AUTO becomes GPU wherever the machine has one, whatever onnxruntime was installed.
        on_gpu = args["model_instance_kind"] == "GPU" and cuda_is_usable()
        if args["model_instance_kind"] == "GPU" and not on_gpu:
            triton.log_warning(
                f"{self.contract.name} runs on the CPU: there is a GPU, but onnxruntime was "
                "installed without CUDA; pip install 'mien[gpu]' to use it"
            )
        self.graph = OnnxGraph(
            version_folder(args) / (self.contract.graph_file or "model.onnx"),
            self.contract,
            threads=thread_budget(),
            gpu=int(args["model_instance_device_id"]) if on_gpu else None,
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """One run per batch, one response per request."""
        return triton.answer_each(requests, self._run)

    def _run(self, requests: list[Any]) -> list[Any]:
        names = [spec.name for spec in self.contract.inputs]
        return run_batch(
            self.graph,
            [{name: triton.input_array(request, name) for name in names} for request in requests],
            batched=self.contract.max_batch_size > 0,
        )
