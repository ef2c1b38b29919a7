# SPDX-License-Identifier: Apache-2.0
"""What a restricted pickle may hold: records of arrays, which become arrays only when asked for.

A pickle rebuilds an object by calling something and handing it a state. Here everything that can be
called gives a record that keeps its arguments and does nothing; ``plain_array`` then reads the
record as numpy, scipy or chumpy would have, with its own checks.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_KINDS = "biuf"  # boolean, integers, floats: no objects, no records
_DEEPEST = 8  # chumpy expressions around an array, arrays around arrays
_MOST_ELEMENTS = 200_000_000  # FLAME's largest array has 6 million


class Record:
    """Anything rebuilt from the pickle; ``state`` is whatever came, unread."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    def __call__(self, *_: Any) -> Any:
        """Refuse: what comes out of a file is not called."""
        raise TypeError(f"{type(self).__name__} cannot be called")


class DtypeRecord(Record):
    """``numpy.dtype(code, …)``; the state's second entry is the byte order."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code


class ArrayRecord(Record):
    """``numpy.ndarray``; state (version, shape, dtype, is_fortran, bytes or list)."""


class ScalarRecord(Record):
    """``numpy.core.multiarray.scalar(dtype, bytes)``."""

    def __init__(self, dtype: Any, content: Any) -> None:
        self.state = (1, (), dtype, False, content)


class BufferRecord(Record):
    """``numpy.core.numeric._frombuffer(bytes, dtype, shape, order)`` of protocol 5."""

    def __init__(self, content: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.state = (1, shape, dtype, order == "F", content)


class ChumpyRecord(Record):
    """Any chumpy class: ``Ch`` keeps its array in ``x``, ``Select`` picks from ``a``."""


class ColumnsRecord(Record):
    """``scipy.sparse.csc_matrix``."""


class RowsRecord(Record):
    """``scipy.sparse.csr_matrix``."""


class StorageRecord(Record):
    """The storage of a torch tensor: bytes that ``torch.save`` wrote."""

    def __init__(self, content: Any) -> None:
        self.state = content


class TensorRecord(Record):
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)``."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> None:
        self.state = (storage, offset, size, stride)


def plain_array(value: Any, depth: int = 0) -> Array:
    """Read a value of a restricted pickle as an array of booleans or numbers.

    Args:
        value: a record, a number or a list of numbers.
        depth: how many expressions lie around this one.

    Raises:
        ValueError: it is none of these, or contradicts itself.
    """
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} expressions around one array")
    if isinstance(value, ArrayRecord | ScalarRecord | BufferRecord):
        return _numpy_array(value.state)
    if isinstance(value, ChumpyRecord):
        return _chumpy_array(_mapping(value.state), depth)
    if isinstance(value, ColumnsRecord | RowsRecord):
        return _dense(_mapping(value.state), is_columns=isinstance(value, ColumnsRecord))
    if isinstance(value, TensorRecord):
        return _tensor_array(value.state)
    if isinstance(value, bool | int | float | list | tuple):
        return _known_kind(np.asarray(value))
    raise ValueError(f"a {type(value).__name__} is no array")


def plain_mapping(value: Any) -> dict[str, Any]:
    """Read a dictionary, or an array of no axes around one, as ``numpy.save`` writes it.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, ArrayRecord) and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, _, _, content = value.state
        if shape == () and isinstance(content, list) and len(content) == 1:
            value = content[0]
    return {str(key): item for key, item in _mapping(value).items()}


def _mapping(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} stands where a dictionary is expected")
    return value


def _numpy_array(state: Any) -> Array:
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError("an array without its state")
    _, shape, dtype, is_fortran, content = state
    shape = _shape(shape)
    if isinstance(content, str):
        content = content.encode("latin1")  # Python 2 wrote its bytes as text
    if not isinstance(content, bytes | bytearray):
        raise ValueError("an array of objects")
    array = np.frombuffer(bytes(content), _dtype(dtype))
    if array.size != int(np.prod(shape)):
        raise ValueError(f"an array of shape {shape} with {array.size} elements")
    return array.reshape(shape, order="F" if is_fortran else "C")


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(isinstance(n, int) and n >= 0 for n in value):
        raise ValueError(f"{value!r:.80} is no shape")
    total = 1
    for size in value:
        total *= size
    if total > _MOST_ELEMENTS:
        raise ValueError(f"{total} elements; expected at most {_MOST_ELEMENTS}")
    return value


def _dtype(record: Any) -> np.dtype[Any]:
    code = record.code if isinstance(record, DtypeRecord) else None
    if not isinstance(code, str) or code[:1] not in _KINDS or not code[1:].isdigit():
        raise ValueError(f"dtype {code!r:.40}; expected one of numbers or booleans")
    state = record.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
    if order not in ("<", ">", "=", "|"):
        raise ValueError(f"byte order {order!r:.40}")
    try:
        return np.dtype(f"{order}{code}")
    except TypeError as error:
        raise ValueError(f"dtype {code!r:.40} is not known") from error


def _known_kind(array: Array) -> Array:
    if array.dtype.kind not in _KINDS:
        raise ValueError(f"values of kind {array.dtype.kind!r}; expected numbers or booleans")
    return array


def _chumpy_array(state: dict[Any, Any], depth: int) -> Array:
    if "x" in state:
        return plain_array(state["x"], depth + 1)
    if "a" in state and "idxs" in state:
        source = plain_array(state["a"], depth + 1).ravel()
        index = plain_array(state["idxs"], depth + 1)
        if index.dtype.kind not in "iu" or (index.size and not _in_range(index, source.size)):
            raise ValueError("a chumpy selection outside its array")
        picked = source[index]
        if state.get("preferred_shape") is None:
            return picked
        shape = tuple(int(n) for n in plain_array(state["preferred_shape"], depth + 1).ravel())
        return picked.reshape(shape)
    raise ValueError("a chumpy expression; expected a plain chumpy array or a selection from one")


def _in_range(index: Array, size: int) -> bool:
    return bool(index.min() >= 0 and index.max() < size)


def _dense(state: dict[Any, Any], *, is_columns: bool) -> Array:
    """Fill a dense matrix from compressed columns or rows; entries at one place are added."""
    shape = _shape(tuple(plain_array(state.get("_shape", ())).tolist()))
    if len(shape) != 2:
        raise ValueError(f"a sparse matrix of shape {shape}")
    data, inner, starts = (plain_array(state.get(key)) for key in ("data", "indices", "indptr"))
    outer_size, inner_size = shape[::-1] if is_columns else shape
    counts = np.diff(starts)
    fits = starts.shape == (outer_size + 1,) and inner.shape == data.shape == (counts.sum(),)
    if not fits or counts.min(initial=0) < 0 or (inner.size and not _in_range(inner, inner_size)):
        raise ValueError(f"a sparse matrix of shape {shape} whose entries do not fit it")
    dense = np.zeros((outer_size, inner_size), data.dtype)
    np.add.at(dense, (np.repeat(np.arange(outer_size), counts), inner), data)
    return dense.T if is_columns else dense


def _tensor_array(state: Any) -> Array:
    # Only a file with torch tensors in it needs torch.
    import torch

    storage, offset, size, stride = state
    content = storage.state if isinstance(storage, StorageRecord) else None
    if not isinstance(content, bytes) or not isinstance(offset, int) or offset < 0:
        raise ValueError("a torch tensor without its storage")
    loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(loaded, torch.storage.TypedStorage):
        raise ValueError(f"a torch tensor on a {type(loaded).__name__}")
    flat = torch.tensor([], dtype=loaded.dtype).set_(loaded)
    size, stride = _shape(tuple(size)), _shape(tuple(stride))
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and reach >= flat.numel():
        raise ValueError("a torch tensor that reaches beyond its storage")
    return _known_kind(torch.as_strided(flat, size, stride, offset).numpy().copy())
