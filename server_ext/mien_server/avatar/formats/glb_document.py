# SPDX-License-Identifier: Apache-2.0
"""A glTF document that grows, and the GLB container it ends in (glTF 2.0, sections 3.6 and 4.4).

Everything lies in one buffer, each accessor in a view of its own, at multiples of 4 bytes.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARRAY_BUFFER", "ELEMENT_ARRAY_BUFFER", "Attribute", "Document", "index_array"]

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
MAGIC, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
ALIGNMENT = 4
COMPONENT_TYPES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
ELEMENT_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
# The largest number of a type restarts primitives.
MAX_SHORT_INDEX = 0xFFFF - 1


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """Numbers of vertices, the first axis.

    Attributes:
        values: float32, or whole numbers of one or two bytes.
        normalized: whether whole numbers stand for fractions of the largest one.
        bounds: whether a reader needs the smallest and largest, as of positions.
    """

    values: NDArray[Any]
    normalized: bool = False
    bounds: bool = False


class Document:
    """Collects what a file holds. Methods that add something return its index."""

    def __init__(self, asset: dict[str, Any]) -> None:
        self.lists: dict[str, list[Any]] = {}
        self.extensions: set[str] = set()
        self._asset = {"version": "2.0", **asset}
        self._chunks: list[bytes] = []
        self._length = 0

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to one of glTF's lists, such as "nodes"."""
        entries = self.lists.setdefault(kind, [])
        entries.append(item)
        return len(entries) - 1

    def view(self, data: bytes, target: int | None = None, stride: int | None = None) -> int:
        """Put bytes into the buffer."""
        view: dict[str, Any] = {
            "buffer": 0,
            "byteOffset": self._length,
            "byteLength": len(data),
        }
        if stride is not None:
            view["byteStride"] = stride
        if target is not None:
            view["target"] = target
        padding = -len(data) % ALIGNMENT
        self._chunks += (data, bytes(padding))
        self._length += len(data) + padding
        return self.add("bufferViews", view)

    def accessor(self, attribute: Attribute, target: int | None = None) -> int:
        """Put an array into the buffer; elements of vertices begin at multiples of 4 bytes."""
        values = attribute.values
        size = values[:1].nbytes
        stride = None
        if target == ARRAY_BUFFER and size % ALIGNMENT:
            stride = size + -size % ALIGNMENT
            room = stride // values.itemsize
            values = np.pad(values, ((0, 0), (0, room - values.shape[1])))
        view = self.view(_little_endian(values), target, stride)
        return self.add("accessors", {"bufferView": view, **described(attribute)})

    def promised(self, attribute: Attribute) -> int:
        """An accessor without bytes, which an extension brings."""
        return self.add("accessors", described(attribute))

    def sparse(self, attribute: Attribute, rows: NDArray[np.intp], count: int) -> int:
        """An accessor that is 0 but in some rows.

        Args:
            attribute: the values of those rows.
            rows: their numbers, growing.
            count: rows of the whole.
        """
        indices = index_array(rows, largest=count - 1)
        item = {
            **described(attribute, with_zero=True),
            "count": count,
            "sparse": {
                "count": len(rows),
                # VTK does not know that offsets may be left away.
                "indices": {
                    "bufferView": self.view(_little_endian(indices)),
                    "byteOffset": 0,
                    "componentType": COMPONENT_TYPES[indices.dtype.str[1:]],
                },
                "values": {
                    "bufferView": self.view(_little_endian(attribute.values)),
                    "byteOffset": 0,
                },
            },
        }
        return self.add("accessors", item)

    def to_bytes(self, *, scene: int) -> bytes:
        """The GLB, which opens with a scene."""
        document: dict[str, Any] = {"asset": self._asset, "scene": scene}
        if self.extensions:
            document["extensionsUsed"] = document["extensionsRequired"] = sorted(self.extensions)
        document |= self.lists
        document["buffers"] = [{"byteLength": self._length}]
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        total = 12 + 8 + len(text) + 8 + self._length
        head = struct.pack("<5I", MAGIC, 2, total, len(text), JSON_CHUNK)
        return b"".join((head, text, struct.pack("<2I", self._length, BIN_CHUNK), *self._chunks))


def index_array(rows: NDArray[Any], *, largest: int) -> NDArray[Any]:
    """Numbers of rows in the smallest type that glTF allows for them, 16 or 32 bits."""
    return rows.astype(np.uint16 if largest <= MAX_SHORT_INDEX else np.uint32)


def described(attribute: Attribute, *, with_zero: bool = False) -> dict[str, Any]:
    """An accessor's description, without where its bytes are.

    Args:
        attribute: what it describes.
        with_zero: whether rows of zeros come beside those of the attribute.
    """
    values = attribute.values
    item: dict[str, Any] = {
        "componentType": COMPONENT_TYPES[values.dtype.str[1:]],
        "count": len(values),
        "type": ELEMENT_TYPES[values.shape[1:]],
    }
    if attribute.normalized:
        item["normalized"] = True
    if attribute.bounds:
        # numpy is slow along the first of a long and a short axis.
        columns = np.ascontiguousarray(values.T)
        low, high = columns.min(axis=1), columns.max(axis=1)
        if with_zero:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        item |= {"min": low.tolist(), "max": high.tolist()}
    return item


def _little_endian(values: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
