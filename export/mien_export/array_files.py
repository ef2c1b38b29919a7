# SPDX-License-Identifier: Apache-2.0
"""Weights in files of arrays, which run nothing when read: numpy's ``.npz``, Keras's ``.h5``.

Keras before its third version writes a group per layer of the model; attributes say their order
(``layer_names``) and, per group, which datasets are its weights (``weight_names``), kernel first.
The names of the datasets differ between versions of Keras, so only their places count here.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien_export.errors import CheckpointError, MissingToolError

_WHOLE_MODEL = "model_weights"  # where Keras's Model.save puts what save_weights has at the top
_PARTS = ("kernel", "bias")


def read_npz(path: Path) -> dict[str, torch.Tensor]:
    """Read every array of a file by its name.

    Raises:
        CheckpointError: it is no ``.npz``, or holds objects or something else than floats.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"checkpoint {path.name} is no .npz file of plain arrays: {error}"
        ) from error
    return {name: _tensor(array, name, path) for name, array in arrays.items()}


def read_keras_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of every layer, in the order of the layers.

    Returns:
        ``LAYER/kernel`` and ``LAYER/bias`` for each layer that has weights, as they lie in the
        file: kernels of convolutions (H, W, C in, C out), of dense layers (in, out).

    Raises:
        CheckpointError: it is no such file, of another backend than TensorFlow, has layers of
            another kind, or data that belongs to no layer or lies elsewhere.
        MissingToolError: h5py is not installed.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise MissingToolError(
            f"checkpoint {path.name} needs h5py to be read, which is not installed; "
            "install it with: pip install 'mien[export]'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            return _layers(file, path)
    except (OSError, KeyError, RuntimeError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"checkpoint {path.name} is no Keras .h5 file: {error}") from error


def _layers(file: Any, path: Path) -> dict[str, torch.Tensor]:
    found = _objects(file)
    root = f"{_WHOLE_MODEL}/" if _WHOLE_MODEL in found else ""
    top = found[_WHOLE_MODEL] if root else file
    if "layer_names" not in top.attrs:
        raise CheckpointError(
            f"checkpoint {path.name} does not say its layers (no attribute layer_names); expected "
            "a file of save_weights in Keras 1 or 2. Save it again with one of them."
        )
    backend = _text(top.attrs.get("backend", "tensorflow"))
    if backend != "tensorflow":
        raise CheckpointError(
            f"checkpoint {path.name} was saved on {backend}, whose kernels lie differently; "
            "expected one saved on TensorFlow."
        )
    tensors: dict[str, torch.Tensor] = {}
    read: set[str] = set()
    for layer in _texts(top.attrs["layer_names"]):
        group = found[f"{root}{layer}"]
        names = [f"{root}{layer}/{name}" for name in _texts(group.attrs["weight_names"])]
        if len(names) not in (0, len(_PARTS)):
            raise CheckpointError(
                f"checkpoint {path.name} has {len(names)} arrays in its layer {layer}; expected a "
                "kernel and a bias, or none."
            )
        for part, name in zip(_PARTS, names, strict=False):
            tensors[f"{layer}/{part}"] = _tensor(_contents(found[name]), name, path)
        read.update(names)
    left = [name for name, item in found.items() if hasattr(item, "shape") and name not in read]
    if left:
        raise CheckpointError(
            f"checkpoint {path.name} has data that none of its layers names: {', '.join(left[:5])}."
        )
    return tensors


def _objects(file: Any) -> dict[str, Any]:
    """Groups and datasets by path: only those of this file, for links are not followed."""
    found: dict[str, Any] = {}
    file.visititems(found.__setitem__)  # gives None, which goes on
    return found


def _contents(dataset: Any) -> Any:
    if dataset.is_virtual or dataset.external:
        raise OSError(f"{dataset.name} lies in another file")
    return dataset[()]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _texts(values: Iterable[Any]) -> list[str]:
    return [_text(value) for value in values]


def _tensor(array: Any, name: str, path: Path) -> torch.Tensor:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise CheckpointError(
            f"checkpoint {path.name} has {getattr(array, 'dtype', type(array))} in {name}; "
            "expected an array of floating-point numbers."
        )
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
