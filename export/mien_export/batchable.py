# SPDX-License-Identifier: Apache-2.0
"""Frees the batch of a graph that was exported for one image.

Two habits of released detectors stand in the way: shapes with the batch written as 1, and heads
that fold the batch into the candidates by moving it behind the pixels. Both are rewritten here;
whether that was enough is for the caller to verify with real batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from mien_export.errors import ConversionError

_ELEMENTWISE = ("Sigmoid", "Relu", "Identity", "Cast", "Mul", "Add", "Exp")
_FOLDING = [2, 3, 0, 1]  # (B, C, H, W) -> (H, W, B, C): right for B = 1 only
_UNFOLDED = [0, 2, 3, 1]


def free_batch(model: onnx.ModelProto, dims: Sequence[int]) -> None:
    """Rewrite a model with one image input in place.

    Args:
        model: the graph; its input may be fixed to one image or free.
        dims: (3, H, W) that the input is pinned to.
    """
    shapes = _shapes_of_one(model, dims)
    _Rewriter(model.graph, shapes).run()
    set_dims(model.graph.input[0], ["batch", *dims])
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def set_dims(value: onnx.ValueInfoProto, dims: Sequence[int | str]) -> None:
    """Set the shape of a graph input or output; a string names a free dimension."""
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for dim in dims:
        if isinstance(dim, str):
            shape.dim.add().dim_param = dim
        else:
            shape.dim.add().dim_value = dim


def _shapes_of_one(model: onnx.ModelProto, dims: Sequence[int]) -> dict[str, list[int]]:
    """Infer every shape for a batch of one."""
    pinned = onnx.ModelProto()
    pinned.CopyFrom(model)
    set_dims(pinned.graph.input[0], [1, *dims])
    del pinned.graph.value_info[:]
    for output in pinned.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(pinned, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise ConversionError(f"the graph contradicts itself: {error}") from error
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {value.name: _known_shape(value) for value in values}


def _known_shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


class _Rewriter:
    def __init__(self, graph: onnx.GraphProto, shapes: Mapping[str, list[int]]) -> None:
        self.graph, self.shapes = graph, shapes
        self.producers = {name: node for node in graph.node for name in node.output}
        self.constants = _constants(graph)

    def run(self) -> None:
        for node in list(self.graph.node):
            if node.op_type == "Reshape" and node.input[1] in self.constants:
                self._reshape(node, self.constants[node.input[1]].tolist())
            elif node.op_type == "Resize" and len(node.input) == 4:
                self._resize(node)

    def _reshape(self, node: onnx.NodeProto, target: list[int]) -> None:
        if any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute):
            return  # 0 would not mean "copy"
        if self.shapes.get(node.input[0], [0])[0] == 1 and target[0] == 1:
            self._set_input(node, 1, np.array([0, *target[1:]], np.int64))
        elif len(target) == 2 and target[0] == -1:
            self._unfold(node, target[1])

    def _unfold(self, node: onnx.NodeProto, size: int) -> None:
        transpose = self._transpose_before(node.input[0])
        if transpose is None:
            return
        perm = next(item for item in transpose.attribute if item.name == "perm")
        if list(perm.ints) == _FOLDING:
            perm.ints[:] = _UNFOLDED
        if list(perm.ints) == _UNFOLDED:
            self._set_input(node, 1, np.array([0, -1, size], np.int64))

    def _transpose_before(self, name: str) -> onnx.NodeProto | None:
        node = self.producers.get(name)
        while node is not None and node.op_type in _ELEMENTWISE:
            node = self.producers.get(node.input[0])
        return node if node is not None and node.op_type == "Transpose" else None

    def _resize(self, node: onnx.NodeProto) -> None:
        sizes = self.constants.get(node.input[3])
        before = self.shapes.get(node.input[0], [])
        if sizes is None or len(before) != len(sizes) or 0 in before:
            return
        scales = np.asarray(sizes, np.float32) / np.asarray(before, np.float32)
        self._set_input(node, 2, scales)
        del node.input[3:]

    def _set_input(self, node: onnx.NodeProto, index: int, array: npt.NDArray[Any]) -> None:
        # A constant of its own: others may share the one that stood there.
        name = f"{node.output[0]}_freed_{index}"
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        node.input[index] = name


def _constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return constants
