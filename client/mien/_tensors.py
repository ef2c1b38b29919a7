# SPDX-License-Identifier: Apache-2.0
"""Tensors as they stand on the wire: raw little-endian bytes, those that batch one item per batch.

BYTES elements are a little-endian uint32 length followed by that many bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from mien._errors import ContractError

__all__ = ["Array", "TensorSpec", "arrays_from_response", "named_arrays", "wire_tensor"]

Array: TypeAlias = NDArray[Any]

_NUMPY_DTYPES: dict[str, str] = {
    "FP32": "<f4",
    "INT32": "<i4",
    "UINT64": "<u8",
    "UINT8": "|u1",
    "BOOL": "|b1",
}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of the contract.

    Attributes:
        name: as in config.pbtxt.
        datatype: Triton's word on the wire: FP32, INT32, UINT64, UINT8, BOOL or BYTES.
        dims: without the batch axis; -1 is any size.
        is_batched: whether there is a batch axis on the wire.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    is_batched: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape on the wire: of a batch of one, where it has a batch axis."""
        return (1, *self.dims) if self.is_batched else self.dims

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor that has that shape on the wire is one of these."""
        return len(shape) == len(self.shape) and all(
            expected in (-1, size) for expected, size in zip(self.shape, shape, strict=True)
        )


def wire_tensor(spec: TensorSpec, value: Any) -> tuple[tuple[int, ...], bytes]:
    """Shape and bytes of a tensor, as they stand on the wire.

    Args:
        spec: says which dtype and shape.
        value: for BYTES one ``bytes``, or a list of them; else anything numpy takes, of
            `spec.dims`, or broadcast to it where no size is free.
    """
    if spec.datatype == "BYTES":
        elements = [value] if isinstance(value, bytes) else value
        shape = tuple(len(elements) if size == -1 else size for size in spec.shape)
        return shape, b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    array = np.asarray(value, dtype=_NUMPY_DTYPES[spec.datatype])
    if -1 not in spec.dims:
        array = np.broadcast_to(array, spec.dims)
    return ((1, *array.shape) if spec.is_batched else array.shape), array.tobytes()


def arrays_from_response(response: Any, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """The tensors of an answer, without their batch axis.

    Args:
        response: ModelInferResponse.
        specs: what was asked for: nothing may be missing, extra, or of another dtype or shape.

    Returns:
        Read-only arrays by name, each of its spec's dims; BYTES as arrays of ``bytes`` objects.

    Raises:
        ContractError: the answer is not that.
    """
    names = [output.name for output in response.outputs]
    expected = sorted(spec.name for spec in specs)
    if sorted(names) != expected:
        raise ContractError(f"outputs are {sorted(names)}; asked for {expected}. {_REMEDY}")
    return named_arrays(response, specs)


def named_arrays(response: Any, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """`arrays_from_response` of an answer that may hold more than `specs`.

    Raises:
        ContractError: one of `specs` is missing, or of another dtype or shape.
    """
    names = [output.name for output in response.outputs]
    missing = [spec.name for spec in specs if spec.name not in names]
    if missing:
        raise ContractError(f"outputs are {sorted(names)}; {missing} are missing. {_REMEDY}")
    if len(response.raw_output_contents) != len(names):
        raise ContractError(
            f"{len(response.raw_output_contents)} raw tensors came for {len(names)} outputs; "
            f"expected one each. {_REMEDY}"
        )
    by_name = {spec.name: spec for spec in specs}
    return {
        output.name: _array_from_raw(by_name[output.name], output, raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        if output.name in by_name
    }


_REMEDY = "Compare the versions of mien here and on the server"


def _array_from_raw(
    spec: TensorSpec, output: service_pb2.ModelInferResponse.InferOutputTensor, raw: bytes
) -> Array:
    shape = tuple(output.shape)
    if output.datatype != spec.datatype or not spec.accepts(shape):
        raise ContractError(
            f"output {spec.name!r} is {output.datatype} {shape}; expected {spec.datatype} "
            f"{spec.shape}. {_REMEDY}"
        )
    if spec.datatype == "BYTES":
        return _bytes_elements(spec, shape[1:] if spec.is_batched else shape, raw)
    dtype = np.dtype(_NUMPY_DTYPES[spec.datatype])
    expected_bytes = math.prod(shape) * dtype.itemsize
    if len(raw) != expected_bytes:
        raise ContractError(
            f"output {spec.name!r} is {len(raw)} bytes long; expected {expected_bytes} for "
            f"{spec.datatype} {shape}. {_REMEDY}"
        )
    # frombuffer over bytes: read-only by construction.
    return np.frombuffer(raw, dtype=dtype).reshape(shape[1:] if spec.is_batched else shape)


def _bytes_elements(spec: TensorSpec, dims: tuple[int, ...], raw: bytes) -> Array:
    elements: list[bytes] = []
    position = 0
    while position + _LENGTH.size <= len(raw):
        (length,) = _LENGTH.unpack_from(raw, position)
        position += _LENGTH.size
        elements.append(raw[position : position + length])
        position += length
    if position != len(raw) or len(elements) != math.prod(dims):
        raise ContractError(
            f"output {spec.name!r} is not {math.prod(dims)} length-prefixed elements: "
            f"{len(elements)} read from {len(raw)} bytes. {_REMEDY}"
        )
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    array.flags.writeable = False
    return array.reshape(dims)
