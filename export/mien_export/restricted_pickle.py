# SPDX-License-Identifier: Apache-2.0
"""Pickles of arrays, read without importing or running anything that they name.

FLAME comes as a Python 2 pickle of chumpy, scipy.sparse and numpy objects, its landmarks as a numpy
file around a pickled dictionary with torch tensors in it. A name in such a file is looked up in the
table below and nowhere else; what stands there only keeps its arguments (``inert_values.py``).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from mien_export.errors import CheckpointError
from mien_export.inert_values import (
    ArrayRecord,
    BufferRecord,
    ChumpyRecord,
    ColumnsRecord,
    DtypeRecord,
    Record,
    RowsRecord,
    ScalarRecord,
    StorageRecord,
    TensorRecord,
    plain_mapping,
)


class _Function:
    """A callable of the table, which the pickle can neither change nor look into."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a state for a function")


class _Marker:
    """A class that is only ever an argument, such as ``object``."""

    def __init__(self) -> None:
        raise pickle.UnpicklingError("a marker class is not made into an object")


def _reconstruct(*_: Any) -> ArrayRecord:
    return ArrayRecord()


def _reconstructor(kind: Any, *_: Any) -> Record:
    if not (isinstance(kind, type) and issubclass(kind, Record)):
        raise pickle.UnpicklingError("copy_reg._reconstructor of something else than an array")
    return kind()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"_codecs.encode with {encoding!r:.40}")
    return text.encode("latin1")


def _no_bytes(*arguments: Any) -> bytes:
    if arguments:
        raise pickle.UnpicklingError("bytes of something")
    return b""


_NUMPY_CORES = ("numpy.core", "numpy._core")
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): DtypeRecord,
    **{(f"{core}.multiarray", "_reconstruct"): _Function(_reconstruct) for core in _NUMPY_CORES},
    **{(f"{core}.multiarray", "scalar"): _Function(ScalarRecord) for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Function(BufferRecord) for core in _NUMPY_CORES},
    **{(f"scipy.sparse.{private}csc", "csc_matrix"): ColumnsRecord for private in ("", "_")},
    **{(f"scipy.sparse.{private}csr", "csr_matrix"): RowsRecord for private in ("", "_")},
    ("torch._utils", "_rebuild_tensor_v2"): _Function(TensorRecord),
    ("torch.storage", "_load_from_bytes"): _Function(StorageRecord),
    ("collections", "OrderedDict"): _Function(dict),
    ("_codecs", "encode"): _Function(_encode),
    **{(module, "_reconstructor"): _Function(_reconstructor) for module in ("copy_reg", "copyreg")},
    **{(module, "bytes"): _Function(_no_bytes) for module in ("__builtin__", "builtins")},
    **{(module, "object"): _Marker for module in ("__builtin__", "builtins")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the table; chumpy's classes all are one record."""
        if (module == "chumpy" or module.startswith("chumpy.")) and name.isidentifier():
            return ChumpyRecord
        allowed = _ALLOWED.get((module, name))
        if allowed is None:
            raise _RefusedError(f"{module}.{name}")
        return allowed

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: these files have no parts elsewhere."""
        raise _RefusedError(f"persistent object {pid!r:.80}")


class _RefusedError(pickle.UnpicklingError):
    """The pickle names something that is not in the table."""


def read_array_mapping(content: bytes, file: str) -> dict[str, Any]:
    """Read a pickled dictionary, bare or inside a ``.npy`` file.

    Args:
        content: the bytes of the file.
        file: what to call it in an error.

    Returns:
        Its values, as plain Python or as records for ``plain_array``.

    Raises:
        CheckpointError: it asks for anything but arrays, is damaged, or holds no dictionary.
    """
    stream = io.BytesIO(content)
    try:
        if content.startswith(np.lib.format.MAGIC_PREFIX):
            _skip_npy_header(stream)
        # FLAME was written by Python 2: its text and its bytes are both read as latin1.
        return plain_mapping(_Unpickler(stream, encoding="latin1", fix_imports=False).load())
    except _RefusedError as error:
        raise CheckpointError(
            f"{file} was refused: it asks for {error}, and loading that could run code. Expected "
            "numpy, chumpy and torch arrays and scipy.sparse matrices in a dictionary, nothing "
            "else. Get the file from its publisher again."
        ) from error
    except Exception as error:  # half a pickle can fail in any way
        raise CheckpointError(
            f"{file} is damaged or no pickled dictionary of arrays: {error}. Get it again."
        ) from error


def _skip_npy_header(stream: io.BytesIO) -> None:
    npy: Any = np.lib.format  # has no types
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    _, _, dtype = read(stream)
    if not dtype.hasobject:
        raise ValueError(f"an array of {dtype}; expected a pickled dictionary")
