# SPDX-License-Identifier: Apache-2.0
"""GLB read by pygltflib, and accessors decoded from glTF 2.0, section 3.6.2, once more."""

import warnings
from dataclasses import dataclass

import numpy as np
import pygltflib

__all__ = ["ReadGlb", "read_glb"]

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class ReadGlb:
    gltf: pygltflib.GLTF2
    blob: bytes

    def view(self, index: int) -> bytes:
        view = self.gltf.bufferViews[index]
        return self.blob[view.byteOffset or 0 :][: view.byteLength]

    def _stored(self, view: int, kind: str, count: int, width: int) -> np.ndarray:
        data, stride = self.view(view), self.gltf.bufferViews[view].byteStride
        item = np.dtype(kind).itemsize * width
        rows = [
            data[start : start + item]
            for start in range(0, count * (stride or item), stride or item)
        ]
        return np.frombuffer(b"".join(rows), kind).reshape(count, width).copy()

    def raw(self, index: int) -> np.ndarray:
        """(count, width) as stored; what no bytes were stored for is 0."""
        accessor = self.gltf.accessors[index]
        kind, width = COMPONENTS[accessor.componentType], WIDTHS[accessor.type]
        if accessor.bufferView is None:
            rows = np.zeros((accessor.count, width), kind)
        else:
            rows = self._stored(accessor.bufferView, kind, accessor.count, width)
        if (sparse := accessor.sparse) is not None:
            places = COMPONENTS[sparse.indices.componentType]
            indices = self._stored(sparse.indices.bufferView, places, sparse.count, 1)
            values = self._stored(sparse.values.bufferView, kind, sparse.count, width)
            rows[indices[:, 0]] = values
        return rows

    def values(self, index: int) -> np.ndarray:
        """(count, width) as meant."""
        rows, accessor = self.raw(index), self.gltf.accessors[index]
        if not accessor.normalized:
            return rows
        return np.maximum(rows / np.float64(np.iinfo(rows.dtype).max), -1)

    def primitives(self, mesh: str) -> list[pygltflib.Primitive]:
        return next(m for m in self.gltf.meshes if m.name == mesh).primitives

    def targets(self, primitive: pygltflib.Primitive) -> list[int]:
        """The accessors of its morph targets."""
        return [
            target["POSITION"] if isinstance(target, dict) else target.POSITION
            for target in primitive.targets
        ]

    def node(self, name: str) -> pygltflib.Node:
        return next(node for node in self.gltf.nodes if node.name == name)

    def places(self) -> dict[str, np.ndarray]:
        """Where each node's origin lies in the world; no node here is turned or scaled."""
        found: dict[str, np.ndarray] = {}

        def walk(index: int, origin: np.ndarray) -> None:
            node = self.gltf.nodes[index]
            assert node.rotation is None
            assert node.scale is None
            found[node.name] = origin + np.array(node.translation or (0, 0, 0))
            for child in node.children or ():
                walk(child, found[node.name])

        for root in self.gltf.scenes[self.gltf.scene].nodes:
            walk(root, np.zeros(3))
        return found


def read_glb(data: bytes) -> ReadGlb:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that pygltflib is built on
        gltf = pygltflib.GLTF2.load_from_bytes(data)
    return ReadGlb(gltf, gltf.binary_blob())
