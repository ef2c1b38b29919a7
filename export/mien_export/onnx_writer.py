# SPDX-License-Identifier: Apache-2.0
"""Appends nodes to an ONNX graph with names of our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

PREFIX = "mien_"  # of every node, constant and tensor that is added


class OnnxWriter:
    """Adds operators to a graph, one call each; a call gives the name of its output."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._count = 0

    def constant(self, array: npt.NDArray[Any]) -> str:
        """Add an initializer."""
        name = self._name("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output."""
        name = self._name(op_type.lower())
        output = output or name
        self._nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    def prepend(self) -> None:
        """Put what was added so far before all other nodes."""
        rest = [onnx.NodeProto.FromString(n.SerializeToString()) for n in self.graph.node]
        del self.graph.node[:]
        self.graph.node.extend([*self._nodes, *rest])
        self._nodes = []

    def append(self) -> None:
        """Put what was added so far behind all other nodes."""
        self.graph.node.extend(self._nodes)
        self._nodes = []

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{PREFIX}{what}_{self._count}"
