# SPDX-License-Identifier: Apache-2.0
"""Detector files with the interface of the released ones, and random heads.

One convolution per stride and kind of head, on the image shrunk by average pooling, in the layouts
that exporters of these detectors leave behind. And the decoding rules, written a second time.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

STRIDES = (8, 16, 32)
YUNET_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
SCRFD_HEADS = {"score": 1, "bbox": 4, "kps": 10}


class ReleasedFile:
    """Collects the nodes of one file."""

    def __init__(self, batch: int | str = 1, px: int | str = 640, opset: int = 11):
        self.rng = np.random.default_rng(3)
        self.nodes, self.constants, self.outputs = [], [], []
        dims = [batch, 3, px, px]
        self.input = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, dims)
        self.opset = opset

    def constant(self, name: str, array) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op_type: str, inputs, output: str, **attributes) -> str:
        self.nodes.append(
            helper.make_node(op_type, inputs, [output], name=f"n_{output}", **attributes)
        )
        return output

    def head(self, name: str, stride: int, channels: int) -> str:
        """(1, channels, 640 / stride, 640 / stride), values of about one."""
        window = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        pooled = self.node("AveragePool", ["input"], f"{name}_pooled", **window)
        scale = 0.02 if channels != 10 else 0.01
        weight = self.rng.normal(0, scale, (channels, 3, 3, 3)).astype(np.float32)
        weight = self.constant(f"{name}_weight", weight)
        return self.node("Conv", [pooled, weight], f"{name}_conv", pads=[1, 1, 1, 1])

    def flatten(self, source: str, output: str, perm, shape) -> str:
        moved = self.node("Transpose", [source], f"{output}_moved", perm=perm)
        shape = self.constant(f"{output}_shape", np.array(shape, np.int64))
        return self.node("Reshape", [moved, shape], output)

    def model(self, outputs, rank: int) -> onnx.ModelProto:
        dims = ["a", "b", "c"][:rank]
        infos = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims) for name in outputs
        ]
        graph = helper.make_graph(self.nodes, "released", [self.input], infos, self.constants)
        opset = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opset, ir_version=6)


def make_yunet(**options) -> onnx.ModelProto:
    """12 named outputs (1, A, C), the batch written as 1 in every Reshape."""
    file, outputs = ReleasedFile(**options), []
    for kind, size in YUNET_HEADS.items():
        for stride in STRIDES:
            name = f"{kind}_{stride}"
            raw = file.head(name, stride, size)
            if kind in ("cls", "obj"):
                raw = file.node("Sigmoid", [raw], f"{name}_sigmoid")
            elif kind == "bbox":
                # Keeps exp of it in a sensible range.
                raw = file.node("Tanh", [raw], f"{name}_tanh")
            outputs.append(file.flatten(raw, name, [0, 2, 3, 1], [1, -1, size]))
    return file.model(outputs, rank=3)


def make_scrfd(layout: str, *, kinds=("score", "bbox", "kps"), **options) -> onnx.ModelProto:
    """Numbered outputs, all scores, all boxes, all landmarks.

    ``folded`` moves the batch behind the pixels and drops it, ``batched`` keeps a leading 1.
    """
    file, outputs = ReleasedFile(**options), []
    for kind in kinds:
        for stride in STRIDES:
            name, size = str(400 + len(outputs)), SCRFD_HEADS[kind]
            raw = file.head(name, stride, 2 * size)
            perm, shape = {
                "folded": ([2, 3, 0, 1], [-1, size]),
                "batched": ([0, 2, 3, 1], [1, -1, size]),
            }[layout]
            flat = file.flatten(raw, name if kind != "score" else f"{name}_flat", perm, shape)
            outputs.append(flat if kind != "score" else file.node("Sigmoid", [flat], name))
    return file.model(outputs, rank=2 if layout == "folded" else 3)


def make_mixing_scrfd() -> onnx.ModelProto:
    """A file whose images cannot be told apart: each sees the mean of its whole batch."""
    model = make_scrfd("batched", batch="n", opset=13)
    graph = model.graph
    mean = helper.make_node("ReduceMean", ["input"], ["mean"], name="mean", axes=[0], keepdims=1)
    for node in graph.node:
        if node.op_type == "AveragePool":
            node.input[0] = "mixed"
    mixed = helper.make_node("Add", ["input", "mean"], ["mixed"], name="mixed")
    rest = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    graph.node.extend([mean, mixed, *rest])
    return model


def decode_yunet(raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """opencv_zoo's rules, location by location."""
    scores, boxes, landmarks = [], [], []
    for s in STRIDES:
        columns = 640 // s
        heads = {kind: raw[f"{kind}_{s}"][0] for kind in YUNET_HEADS}
        for i in range(columns * columns):
            row, column = i // columns, i % columns
            cls = min(max(heads["cls"][i, 0], 0.0), 1.0)
            obj = min(max(heads["obj"][i, 0], 0.0), 1.0)
            dx, dy, dw, dh = heads["bbox"][i]
            cx, cy = (column + dx) * s, (row + dy) * s
            w, h = np.exp(dw) * s, np.exp(dh) * s
            scores.append(np.sqrt(cls * obj))
            boxes.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
            k = heads["kps"][i]
            landmarks.append(
                [[(k[2 * p] + column) * s, (k[2 * p + 1] + row) * s] for p in range(5)]
            )
    return {
        "scores": np.array(scores),
        "boxes_xyxy": np.array(boxes),
        "landmarks": np.array(landmarks),
    }


def decode_scrfd(raw: list[np.ndarray]) -> dict[str, np.ndarray]:
    """insightface's rules, location by location; raw is score x 3, bbox x 3, kps x 3."""
    scores, boxes, landmarks = [], [], []
    for level, s in enumerate(STRIDES):
        score, bbox, kps = (
            raw[level + 3 * k].reshape(-1, size) for k, size in enumerate((1, 4, 10))
        )
        columns = 640 // s
        for i in range(columns * columns * 2):
            x, y = (i // 2 % columns) * s, (i // 2 // columns) * s
            left, top, right, bottom = bbox[i] * s
            scores.append(score[i, 0])
            boxes.append([x - left, y - top, x + right, y + bottom])
            k = kps[i] * s
            landmarks.append([[x + k[2 * p], y + k[2 * p + 1]] for p in range(5)])
    return {
        "scores": np.array(scores),
        "boxes_xyxy": np.array(boxes),
        "landmarks": np.array(landmarks),
    }
