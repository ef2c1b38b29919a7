# SPDX-License-Identifier: Apache-2.0
"""fp32 ONNX graph to fp16 weights and arithmetic; inputs and outputs stay fp32.

The types stand in the graph as casts, so a strongly typed TensorRT network follows them.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

import onnx
from onnxruntime.transformers import float16

from mien_export.contract import ModelContract
from mien_export.onnx_files import save_onnx, without_debris


def convert_to_fp16(
    source: Path,
    contract: ModelContract,
    path: Path,
    *,
    fp32_op_types: Collection[str] = (),
    fp32_node_prefix: str = "",
    fp16_node_prefix: str = "",
    fp32_up_to: Collection[str] = (),
) -> None:
    """Convert a graph.

    Args:
        source: the fp32 graph.
        contract: what the result must equal, too.
        path: file to write.
        fp32_op_types: operators that stay in fp32, such as norms that overflow.
        fp32_node_prefix: nodes with such names stay in fp32; empty for none.
        fp16_node_prefix: only nodes with such names become fp16; empty for all the rest.
        fp32_up_to: operators that stay in fp32 with everything they are computed from.
    """
    model = onnx.load(source)
    exact = _up_to(model.graph, fp32_up_to)
    blocked = [
        node.name
        for node in model.graph.node
        if (fp32_node_prefix and node.name.startswith(fp32_node_prefix))
        or not node.name.startswith(fp16_node_prefix)
        or node.name in exact
    ]
    with warnings.catch_warnings():
        # The converter says so for every weight below 6e-8, which it rounds to that.
        warnings.filterwarnings("ignore", "the float32 number .* will be truncated", UserWarning)
        converted = float16.convert_float_to_float16(
            model,
            keep_io_types=True,
            op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *fp32_op_types],
            node_block_list=blocked,
        )
    # The converter writes the same cast once per blocked consumer.
    unique = {node.output[0]: node for node in reversed(converted.graph.node)}
    _keep(converted.graph, list(reversed(unique.values())))
    _drop_round_trips(converted.graph)
    _sort(converted.graph)
    save_onnx(without_debris(converted), contract, path)


def _up_to(graph: onnx.GraphProto, op_types: Collection[str]) -> set[str]:
    """Names of the nodes of some types, and of all that lead to them."""
    wanted: set[str] = set()
    names: set[str] = set()
    for node in reversed(graph.node):  # a node stands behind its inputs
        if node.op_type in op_types or wanted & set(node.output):
            names.add(node.name)
            wanted |= set(node.input)
    return names


def _drop_round_trips(graph: onnx.GraphProto) -> None:
    """Remove fp32 → fp16 → fp32 casts.

    The converter casts every input and output, even between fp32 and a node that stays in fp32:
    pixels above 128 would lose their fractions for nothing.
    """
    producers = {name: node for node in graph.node for name in node.output}
    replaced: dict[str, str] = {}
    second_casts = set()
    for node in graph.node:
        before = producers.get(node.input[0]) if _casts_to(node, onnx.TensorProto.FLOAT) else None
        if before is not None and _casts_to(before, onnx.TensorProto.FLOAT16):
            replaced[node.output[0]] = before.input[0]
            second_casts.add(node.name)
    outputs = {output.name for output in graph.output}
    # A graph output keeps its name: what it was cast from takes that name instead.
    renamed = {source: name for name, source in replaced.items() if name in outputs}
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                source = replaced.get(name, name)
                names[i] = renamed.get(source, source)
    _keep(graph, [node for node in graph.node if node.name not in second_casts])
    _drop_unused(graph, outputs)


def _drop_unused(graph: onnx.GraphProto, outputs: set[str]) -> None:
    while True:
        used = {name for node in graph.node for name in node.input} | outputs
        kept = [node for node in graph.node if used & set(node.output)]
        if len(kept) == len(graph.node):
            return
        _keep(graph, kept)


def _casts_to(node: onnx.NodeProto, dtype: int) -> bool:
    return node.op_type == "Cast" and any(
        attribute.name == "to" and attribute.i == dtype for attribute in node.attribute
    )


def _sort(graph: onnx.GraphProto) -> None:
    """Put every node behind its inputs; the converter appends its casts at the end."""
    waiting = list(graph.node)
    made = {name for node in waiting for name in node.output}
    done: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    while waiting:
        ready = [n for n in waiting if all(i in done or i not in made for i in n.input)]
        ordered += ready
        done.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not done & set(node.output)]
        if not ready:
            break  # a cycle: the checker that follows names it
    _keep(graph, ordered + waiting)


def _keep(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
