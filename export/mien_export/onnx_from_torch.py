# SPDX-License-Identifier: Apache-2.0
"""torch module to ONNX file, through torch's dynamo exporter.

The batch is the one free dimension. Nothing of the machine stays in the file: the exporter writes
stack traces with paths into node metadata, which are removed.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien_export.contract import ModelContract
from mien_export.errors import ConversionError
from mien_export.onnx_files import save_onnx, without_debris
from mien_export.parity import (
    Arrays,
    ParityReport,
    Tolerances,
    compare,
    example_cases,
    run_onnx,
)

# GroupNorm is native from 18 on; at 20 TensorRT silently takes GridSample for nearest.
OPSET = 18
_EXAMPLE_BATCH = 2  # 0 and 1 would be specialised away


def export_and_compare(
    module: nn.Module, contract: ModelContract, tolerances: Tolerances, path: Path
) -> ParityReport:
    """Export a module and compare the graph with it on example inputs.

    Raises:
        ConversionError: the exporter cannot take the module.
        ContractError: the exported graph is not what the contract says.
    """
    export_onnx(module, contract, path)
    cases: list[Arrays] = list(example_cases(contract))
    return compare(run_torch(module, contract, cases), run_onnx(path, cases), tolerances)


def export_onnx(module: nn.Module, contract: ModelContract, path: Path) -> None:
    """Export a module whose arguments and outputs are those of the contract, in its order.

    Raises:
        ConversionError: the exporter cannot take the module.
        ContractError: the exported graph is not what the contract says.
    """
    examples = tuple(torch.zeros(_EXAMPLE_BATCH, *spec.dims) for spec in contract.inputs)
    batch = torch.export.Dim("batch", min=1, max=max(contract.max_batch_size, 2))
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                module.eval(),
                examples,
                input_names=[spec.name for spec in contract.inputs],
                output_names=[spec.name for spec in contract.outputs],
                dynamic_shapes=tuple({0: batch} for _ in examples),
                opset_version=OPSET,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ConversionError(f"{contract.name} cannot be exported to ONNX: {error}") from error
    if program is None:
        raise ConversionError(f"{contract.name}: torch's exporter returned nothing.")
    save_onnx(without_debris(program.model_proto), contract, path)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    # torchvision is not installed and not used; each of its operators costs a warning.
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch 2.13 deprecates a class that its own exporter copies.
            warnings.filterwarnings("ignore", r".*LeafSpec.*is deprecated", FutureWarning)
            # All inputs of a graph share the one batch dimension; that is said per input.
            warnings.filterwarnings("ignore", r"# The axis name: batch will not", UserWarning)
            yield
    finally:
        registry.setLevel(level)


def run_torch(module: nn.Module, contract: ModelContract, cases: list[Arrays]) -> list[Arrays]:
    """Run the module on parity inputs and name its outputs as the contract does."""
    results: list[Arrays] = []
    for case in cases:
        with torch.inference_mode():
            outputs = module.eval()(*(torch.from_numpy(case[s.name]) for s in contract.inputs))
        tensors = outputs if isinstance(outputs, tuple) else (outputs,)
        names = [spec.name for spec in contract.outputs]
        named: Mapping[str, Any] = dict(zip(names, (t.numpy() for t in tensors), strict=True))
        results.append(named)
    return results
