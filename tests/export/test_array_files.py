# SPDX-License-Identifier: Apache-2.0
import sys

import h5py
import numpy as np
import pytest
import torch

from mien_export.array_files import read_keras_weights, read_npz
from mien_export.checkpoints import read_checkpoint
from mien_export.errors import CheckpointError, MissingToolError

KERNEL, BIAS = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(3, np.float32)


def write(path, change=lambda file: None, root=""):
    """One dense layer as Keras 1 names it, and one layer without weights."""
    with h5py.File(path, "w") as file:
        top = file.create_group(root) if root else file
        top.attrs["layer_names"] = [b"dense", b"dense/relu"]
        group = top.create_group("dense")
        group.attrs["weight_names"] = [b"dense_W:0", b"dense_b:0"]
        group["dense_W:0"], group["dense_b:0"] = KERNEL, BIAS
        group.create_group("relu").attrs["weight_names"] = np.zeros(0, "S1")
        change(file)
    return path


@pytest.mark.parametrize("root", ["", "model_weights"])
def test_layers_are_read_by_the_places_of_their_weights(root, tmp_path):
    found = read_keras_weights(write(tmp_path / "w.h5", root=root))

    assert list(found) == ["dense/kernel", "dense/bias"]
    assert torch.equal(found["dense/kernel"], torch.from_numpy(KERNEL))
    assert torch.equal(found["dense/bias"], torch.from_numpy(BIAS))


def test_numbers_of_another_byte_order_are_the_same_numbers(tmp_path):
    def swap(file):
        del file["dense/dense_W:0"]
        file["dense/dense_W:0"] = KERNEL.astype(">f4")

    found = read_keras_weights(write(tmp_path / "w.h5", swap))

    assert torch.equal(found["dense/kernel"], torch.from_numpy(KERNEL))


def add_data(file):
    file["elsewhere"] = BIAS


def third_array(file):
    file["dense/more"] = BIAS
    file["dense"].attrs["weight_names"] = [b"dense_W:0", b"dense_b:0", b"more"]


def other_backend(file):
    file.attrs["backend"] = b"theano"


def no_layers(file):
    del file.attrs["layer_names"]


def no_weights(file):
    del file["dense/dense_b:0"]


def numbers(file):
    del file["dense/dense_b:0"]
    file["dense/dense_b:0"] = np.ones(3, np.int64)


def words(file):
    del file["dense/dense_b:0"]
    file["dense/dense_b:0"] = "three"


def to_another_file(file):
    del file["dense/dense_b:0"]
    file["dense/dense_b:0"] = h5py.ExternalLink("other.h5", "/secret")


def raw_elsewhere(file):
    del file["dense/dense_b:0"]
    file["dense"].create_dataset("dense_b:0", (3,), "f4", external=[("other.bin", 0, 12)])


def virtual(file):
    del file["dense/dense_b:0"]
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
    file["dense"].create_virtual_dataset("dense_b:0", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_data, "none of its layers names: elsewhere"),
        (third_array, "3 arrays in its layer dense"),
        (other_backend, "saved on theano"),
        (no_layers, "does not say its layers"),
        (no_weights, "no Keras .h5 file.*dense_b:0"),
        (numbers, "int64 in dense/dense_b:0"),
        (words, "in dense/dense_b:0; expected an array"),
        (to_another_file, "no Keras .h5 file.*dense_b:0"),
        (raw_elsewhere, "lies in another file"),
        (virtual, "lies in another file"),
    ],
)
def test_what_is_not_exactly_the_weights_of_layers_is_refused(
    change, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.bin").write_bytes(BIAS.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = BIAS

    with pytest.raises(CheckpointError, match=message):
        read_keras_weights(write(tmp_path / "w.h5", change))


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_a_damaged_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    for content in (b"\x93 these are not weights", b""):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"is no .*{suffix} file"):
            read_checkpoint(path)


def test_without_h5py_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    path = write(tmp_path / "w.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)

    with pytest.raises(MissingToolError, match=r"pip install 'mien\[export\]'"):
        read_checkpoint(path)


def test_an_npz_is_its_arrays_by_name(tmp_path):
    np.savez(tmp_path / "w.npz", kernel=KERNEL, bias=BIAS.astype(np.float16))
    found = read_checkpoint(tmp_path / "w.npz").tensors

    assert sorted(found) == ["bias", "kernel"]
    assert torch.equal(found["kernel"], torch.from_numpy(KERNEL))


def test_an_npz_of_objects_is_refused_and_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return open, (str(tmp_path / "touched"), "w")

    np.savez(tmp_path / "w.npz", kernel=np.array([Hostile()], dtype=object))

    with pytest.raises(CheckpointError, match=r"no \.npz file of plain arrays"):
        read_npz(tmp_path / "w.npz")
    assert not (tmp_path / "touched").exists()


def test_a_single_array_is_no_npz(tmp_path):
    np.save(tmp_path / "w.npy", KERNEL)
    path = (tmp_path / "w.npy").rename(tmp_path / "w.npz")

    with pytest.raises(CheckpointError, match="a single array"):
        read_npz(path)
