# SPDX-License-Identifier: Apache-2.0
import copyreg
import io
import os
import pickle
import re
import struct

import numpy as np
import pytest
import torch

from mien_export import restricted_pickle
from mien_export.errors import CheckpointError
from mien_export.inert_values import plain_array
from mien_export.restricted_pickle import read_array_mapping


class Calls:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture
def trap(tmp_path):
    return tmp_path / "executed"


def hostile(trap) -> dict[str, object]:
    """Objects whose loading would leave a file behind."""
    command = f"touch {trap}"
    code = f"open({str(trap)!r}, 'w')"
    array = np.empty(1, object)
    array[0] = Calls(os.system, command)
    storage = pickle.dumps(Calls(os.system, command), 2)
    return {
        "system": Calls(os.system, command),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "open": Calls(open, str(trap), "w"),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "numpy_load": Calls(np.load, str(trap)),
        "numpy_tofile": Calls(np.ndarray.tofile, np.ones(1), str(trap)),
        "object_array": array,
        "torch_load": Calls(torch.load, io.BytesIO(storage)),
        "reconstructor": Calls(copyreg._reconstructor, dict, object, None),
        "inside_a_list": [{"deep": (Calls(os.system, command),)}],
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", sorted(hostile("")))
def test_a_hostile_pickle_is_refused_and_nothing_runs(trap, name, protocol):
    content = pickle.dumps({"v_template": hostile(trap)[name]}, protocol)

    with pytest.raises(CheckpointError, match=r"flame\.pkl"):
        read_array_mapping(content, "flame.pkl")
    assert not trap.exists()


def test_the_error_names_what_was_asked_for(trap):
    with pytest.raises(CheckpointError, match=r"asks for posix\.system, and loading that could"):
        read_array_mapping(pickle.dumps({"x": hostile(trap)["system"]}), "flame.pkl")


def test_a_hostile_array_file_is_refused_and_nothing_runs(tmp_path, trap):
    np.save(tmp_path / "landmarks.npy", {"x": hostile(trap)["system"]}, allow_pickle=True)

    with pytest.raises(CheckpointError, match=r"asks for posix\.system"):
        read_array_mapping((tmp_path / "landmarks.npy").read_bytes(), "landmarks.npy")
    assert not trap.exists()


def test_a_hostile_torch_storage_is_refused_and_nothing_runs(trap):
    inner = pickle.dumps(Calls(os.system, f"touch {trap}"), 2)
    storage = Calls(torch.storage._load_from_bytes, inner)
    content = pickle.dumps(
        {"x": Calls(torch._utils._rebuild_tensor_v2, storage, 0, (1,), (1,), False, {})}, 2
    )
    mapping = read_array_mapping(content, "landmarks.npy")

    with pytest.raises(Exception, match=r"weights_only|Weights only|storage"):
        plain_array(mapping["x"])
    assert not trap.exists()


def stack_global(module: str, name: str) -> bytes:
    """Protocol 4's way to a name, which follows dots through attributes."""
    parts = (
        b"\x8c" + struct.pack("<B", len(text)) + text.encode("ascii") for text in (module, name)
    )
    return b"".join(parts) + b"\x93"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("chumpy.ch", "os.system"),
        ("chumpy", "ch.np.load"),
        ("chumpyx", "Ch"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("collections", "OrderedDict.__class__"),
        ("builtins", "object.__subclasses__"),
        ("builtins", "dict"),
        ("__main__", "__builtins__"),
    ],
)
def test_attributes_of_allowed_names_are_out_of_reach(module, name):
    content = b"\x80\x04" + stack_global(module, name) + b")R."

    with pytest.raises(CheckpointError, match=re.escape(f"asks for {module}.{name}")):
        read_array_mapping(content, "flame.pkl")


@pytest.mark.parametrize(
    "target", [b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", b"cchumpy.ch\nCh\n"]
)
def test_the_table_cannot_be_changed_by_a_state(target):
    before = {key: dict(vars(value)) if isinstance(value, type) else value
              for key, value in restricted_pickle._ALLOWED.items()}  # fmt: skip
    # (callable, (None, {"__setstate__": 1})) BUILD: slots of a state are set as attributes.
    content = b"\x80\x02" + target + b"N}U\x0c__setstate__K\x01s\x86b."

    with pytest.raises(CheckpointError):
        read_array_mapping(content, "flame.pkl")
    after = {key: dict(vars(value)) if isinstance(value, type) else value
             for key, value in restricted_pickle._ALLOWED.items()}  # fmt: skip
    assert before == after


def test_what_comes_out_of_a_file_cannot_be_called():
    content = b"\x80\x02cchumpy.ch\nCh\n)\x81)R."

    with pytest.raises(CheckpointError, match="cannot be called"):
        read_array_mapping(content, "flame.pkl")


def test_parts_elsewhere_are_refused():
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return "elsewhere" if obj == "x" else None

    stream = io.BytesIO()
    Pickler(stream).dump({"a": "x"})

    with pytest.raises(CheckpointError, match="persistent object 'elsewhere'"):
        read_array_mapping(stream.getvalue(), "flame.pkl")


@pytest.mark.parametrize("content", [b"", b".", b"\x80\x02}", pickle.dumps([1]), pickle.dumps(3)])
def test_what_is_no_dictionary_is_refused(content):
    with pytest.raises(CheckpointError, match="no pickled dictionary of arrays"):
        read_array_mapping(content, "flame.pkl")


ARRAYS = {
    "floats": np.linspace(0, 1, 12).reshape(3, 4),
    "columns_first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(5, dtype=">i4"),
    "halves": np.array([1.5, -2], np.float16),
    "unsigned": np.array([2**32 - 1], np.uint32),
    "booleans": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "none": np.float32(3.5),
    "view": np.arange(20)[::3],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_kind_come_out_as_they_went_in(name, protocol):
    content = pickle.dumps({"x": ARRAYS[name]}, protocol)
    found = plain_array(read_array_mapping(content, "file")["x"])

    np.testing.assert_array_equal(found, ARRAYS[name], strict=True)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6).reshape(2, 3),
        torch.rand(4, 3).T,
        torch.rand(10)[2:8:2],
        torch.zeros(0, 3),
        torch.tensor([True, False]),
    ],
    ids=["integers", "transposed", "strided", "empty", "booleans"],
)
def test_torch_tensors_come_out_as_arrays(tensor):
    content = pickle.dumps({"x": tensor}, 2)
    found = plain_array(read_array_mapping(content, "file")["x"])

    np.testing.assert_array_equal(found, tensor.numpy(), strict=True)


@pytest.mark.parametrize(
    "value",
    ["text", None, {"x": 1}, np.array(["text"]), np.array([{}], object), [1, "a"],
     np.array([(1, 2.0)], [("a", int), ("b", float)]), np.array(["2020"], "datetime64[Y]")],
    ids=str,
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_said_to_be_none(value):
    with pytest.raises((ValueError, CheckpointError)):
        plain_array(read_array_mapping(pickle.dumps({"x": value}), "file")["x"])


def test_a_claimed_size_is_checked_before_memory_is_taken():
    claims = pickle.dumps({"x": np.ones(3)}, 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85")
    array = read_array_mapping(claims, "file")["x"]

    with pytest.raises(ValueError, match="2147483647 elements; expected at most"):
        plain_array(array)
