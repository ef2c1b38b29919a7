# SPDX-License-Identifier: Apache-2.0
"""An onnxruntime session with the options of a Triton model config.

Parameters mean what they mean to Triton's native onnxruntime backend (its README, "Model Config
Options"); where the config sets no thread count, the server's budget applies instead of "all
cores", and threads never spin: other stages wait for the same cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mien_server.contract import ModelContract, TensorSpec

__all__ = ["OnnxGraph", "cuda_is_usable", "session_options"]

NUMPY_FROM_TRITON: dict[str, str] = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "uint8",
    "TYPE_UINT16": "uint16",
    "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64",
    "TYPE_INT8": "int8",
    "TYPE_INT16": "int16",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float",
    "TYPE_FP64": "double",
    "TYPE_STRING": "string",
}

_LEVELS = onnxruntime.GraphOptimizationLevel
# Triton's "level": -1 basic, 1 basic and extended, 2 none; without it all.
GRAPH_LEVELS = {
    None: _LEVELS.ORT_ENABLE_ALL,
    0: _LEVELS.ORT_ENABLE_ALL,
    -1: _LEVELS.ORT_ENABLE_BASIC,
    1: _LEVELS.ORT_ENABLE_EXTENDED,
    2: _LEVELS.ORT_DISABLE_ALL,
}


def session_options(contract: ModelContract, *, threads: int) -> onnxruntime.SessionOptions:
    """Session options from the config's parameters and `optimization.graph.level`.

    Args:
        contract: of the model.
        threads: used inside an operator where `intra_op_thread_count` is not set.

    Raises:
        ValueError: a parameter has a value that is not allowed.
    """
    numbers = {
        key: int(contract.number(key))
        for key in (
            "intra_op_thread_count",
            "inter_op_thread_count",
            "execution_mode",
            "enable_mem_arena",
            "enable_mem_pattern",
        )
        if key in contract.parameters
    }
    if contract.graph_level not in GRAPH_LEVELS:
        raise ValueError(
            f"optimization.graph.level of {contract.name} is {contract.graph_level}; it must be "
            "-1, 0, 1 or 2"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = numbers.get("intra_op_thread_count", threads)
    options.inter_op_num_threads = numbers.get("inter_op_thread_count", 1)
    options.graph_optimization_level = GRAPH_LEVELS[contract.graph_level]
    options.enable_cpu_mem_arena = bool(numbers.get("enable_mem_arena", 1))
    options.enable_mem_pattern = bool(numbers.get("enable_mem_pattern", 1))
    if numbers.get("execution_mode", 0) == 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


class OnnxGraph:
    """A graph that keeps its config's promise.

    Args:
        path: of the .onnx file.
        contract: of the model; names and dtypes of the graph must equal it.
        threads: budget inside an operator.
        gpu: device to run on, None for the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the graph differs from the config.
    """

    def __init__(
        self, path: Path, contract: ModelContract, *, threads: int, gpu: int | None = None
    ) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; build the repository again")
        self._session = onnxruntime.InferenceSession(
            str(path), session_options(contract, threads=threads), providers=_providers(gpu)
        )
        self._outputs = [spec.name for spec in contract.outputs]
        _check(contract, "input", contract.inputs, self._session.get_inputs())
        _check(contract, "output", contract.outputs, self._session.get_outputs())
        self._run_options = onnxruntime.RunOptions()
        shrinkage = contract.parameters.get("memory.enable_memory_arena_shrinkage")
        if shrinkage:
            self._run_options.add_run_config_entry(
                "memory.enable_memory_arena_shrinkage", shrinkage
            )

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the graph; output name -> array, batch first.

        Raises:
            Exception: whatever onnxruntime raises for inputs it cannot run.
        """
        outputs = self._session.run(self._outputs, dict(inputs), self._run_options)
        return dict(zip(self._outputs, map(np.asarray, outputs), strict=True))


def cuda_is_usable() -> bool:
    """Whether the installed onnxruntime can run on a CUDA device."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _providers(gpu: int | None) -> list[Any]:
    if gpu is None:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": gpu}), "CPUExecutionProvider"]


def _check(
    contract: ModelContract, kind: str, specs: tuple[TensorSpec, ...], nodes: list[Any]
) -> None:
    promised = {spec.name: f"tensor({NUMPY_FROM_TRITON[spec.data_type]})" for spec in specs}
    found = {node.name: node.type for node in nodes}
    if promised != found:
        raise ValueError(
            f"{kind}s of the graph of {contract.name} are {found}; its config.pbtxt promises "
            f"{promised}. Build the repository again."
        )
