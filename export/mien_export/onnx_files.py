# SPDX-License-Identifier: Apache-2.0
"""ONNX files as they are published: valid, equal to the contract, free of traces of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from mien_export.contract import ModelContract, graph_mismatches
from mien_export.errors import ContractError, ConversionError

_LARGEST_BYTES = 2_000_000_000  # protobuf's limit is 2 GiB; no graph of ours comes near


def without_debris(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model without metadata, doc strings and intermediate shapes.

    The exporter's metadata holds paths of this machine; everything removed is optional in ONNX.
    """
    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    _strip(clean)
    graph = clean.graph
    del graph.value_info[:]
    graph.name = "mien"
    for part in (graph.node, graph.initializer, graph.input, graph.output):
        for item in part:
            _strip(item)
    _strip(graph)
    return clean


def _strip(message: Any) -> None:
    message.ClearField("doc_string")
    message.ClearField("metadata_props")


def save_onnx(model: onnx.ModelProto, contract: ModelContract, path: Path) -> None:
    """Check a model against ONNX and the contract, then write it as one file.

    Raises:
        ConversionError: not valid ONNX, or too large for one file.
        ContractError: names, dtypes or dims differ from the contract.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"{contract.name}: the graph is not valid ONNX: {error}") from error
    problems = graph_mismatches(contract, model.graph)
    if problems:
        raise ContractError(
            f"{contract.name}: the graph is not the contract: {'; '.join(problems)}."
        )
    content = model.SerializeToString(deterministic=True)
    if len(content) > _LARGEST_BYTES:
        raise ConversionError(
            f"{contract.name}: the graph has {len(content)} bytes; one ONNX file holds at most "
            f"{_LARGEST_BYTES}. Use a smaller network."
        )
    path.write_bytes(content)


def opset_of(model: onnx.ModelProto) -> int:
    """Give the version of the standard operator set."""
    return next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
