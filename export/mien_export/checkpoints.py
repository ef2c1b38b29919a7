# SPDX-License-Identifier: Apache-2.0
"""Weights files: read without running their code, renamed by explicit rules, loaded strictly.

Formats: safetensors; torch files (``.pth``, ``.pt``, ``.tar``, Lightning ``.ckpt``) that hold a
state_dict, bare or under ``state_dict``, ``model`` or ``backbone``; ``.npz`` and Keras's ``.h5``
(``array_files.py``). Where one file holds several networks, ``checkpoint_parts.py`` says which part
is whose.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mien_export.array_files import read_keras_weights, read_npz
from mien_export.errors import CheckpointError
from mien_export.manifest import sha256_of_file

T = TypeVar("T")
Tensors = Mapping[str, torch.Tensor]
Rename = Callable[[Tensors], dict[str, torch.Tensor]]
# (what a file holds, its name for errors) -> the tensors of one network.
Select = Callable[[object, str], Tensors]

CONTAINERS = ("state_dict", "model", "backbone")
_TORCH_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt")
_ARRAY_READERS = {".npz": read_npz, ".h5": read_keras_weights}
_SHOWN = 5  # keys of each kind in an error


@dataclass(frozen=True)
class Checkpoint:
    """A weights file: its tensors by the names in the file, and its identity."""

    file: str
    sha256: str
    tensors: Tensors


def only_state_dict(content: object, file: str) -> Tensors:
    """Select the one state_dict of a file, bare or in one of the usual containers.

    Raises:
        CheckpointError: there is none.
    """
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    return require_state_dict(content, file, where=f"bare or under one of {', '.join(CONTAINERS)}")


def read_checkpoint(path: Path, select: Select = only_state_dict) -> Checkpoint:
    """Read a weights file without executing anything in it.

    Args:
        path: the file.
        select: which of its tensors are the network's.

    Raises:
        CheckpointError: the file is missing, damaged, hostile, or holds no tensors.
        MissingToolError: it is an ``.h5``, and h5py is not installed.
    """
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {path} does not exist or is no file; give the path of a weights file."
        )
    if path.suffix == ".safetensors":
        content = _safetensors(path)
    elif path.suffix in _TORCH_SUFFIXES:
        content = _torch_file(path)
    elif path.suffix in _ARRAY_READERS:
        content = _ARRAY_READERS[path.suffix](path)
    else:
        known = ", ".join((*_TORCH_SUFFIXES, *_ARRAY_READERS))
        raise CheckpointError(
            f"checkpoint {path.name} ends in {path.suffix!r}; expected .safetensors or one of "
            f"{known}. Convert it, or rename it to what it is."
        )
    return Checkpoint(path.name, sha256_of_file(path), select(content, path.name))


def _safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path.name} is not a safetensors file: {error}"
        ) from error


def _torch_file(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # torch announces that it may not know a pickle; then it raises, which is handled here.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first_line = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"checkpoint {path.name} was refused: it holds more than tensors, and loading the rest "
            f"could run code ({first_line}) Expected a plain state_dict. If you trust the file, "
            "load it elsewhere and save its state_dict as safetensors."
        ) from error
    except Exception as error:  # half a pickle can fail in any way
        raise CheckpointError(f"checkpoint {path.name} is damaged: {error}") from error


def require_state_dict(content: object, file: str, *, where: str) -> Tensors:
    """Give the content if it is tensors by name.

    Args:
        content: what a file, or an entry of it, holds.
        file: what to call it in an error.
        where: that the tensors are expected, for an error.

    Raises:
        CheckpointError: it is something else, or empty.
    """
    tensors: Tensors = content if isinstance(content, Mapping) else {}
    if not tensors or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in tensors.items()
    ):
        found = sorted(map(str, content))[:_SHOWN] if isinstance(content, Mapping) else content
        raise CheckpointError(
            f"checkpoint {file} holds no state_dict (found {type(content).__name__} "
            f"{found!r:.200}); expected tensors by name, {where}."
        )
    return tensors


def rename_from_arcface(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take insightface arcface_torch, ElasticFace and MICA: our names, perhaps wrapped."""
    return without_prefixes(tensors, ("module.", "backbone."))


def rename_from_tface(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take TFace and later face.evoLVe: our names, perhaps wrapped."""
    return without_prefixes(tensors, ("module.", "backbone."))


def rename_from_adaface(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take AdaFace Lightning files: the backbone under ``model.``, beside the training head."""
    kept = {key: value for key, value in tensors.items() if not key.startswith("head.")}
    return without_prefixes(kept, ("module.", "model."))


def rename_nothing(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take files whose names are ours."""
    return dict(tensors)


def without_prefixes(tensors: Mapping[str, T], prefixes: Iterable[str]) -> dict[str, T]:
    """Drop each prefix that all names have, such as the ``module.`` of DataParallel."""
    renamed = dict(tensors)
    for prefix in prefixes:
        # All or none: a prefix on some keys only is a file we do not know.
        if renamed and all(key.startswith(prefix) for key in renamed):
            renamed = {key[len(prefix) :]: value for key, value in renamed.items()}
    return renamed


def load_strictly(module: nn.Module, checkpoint: Checkpoint, rename: Rename) -> None:
    """Load every tensor of the module from the checkpoint, and nothing else.

    ``num_batches_tracked`` counters are the one exception: inference never reads them and old
    files lack them, so they may be absent from either side.

    Raises:
        CheckpointError: keys are missing, left over or mis-shaped, or a value is not finite.
    """
    tensors = _without_counters(rename(checkpoint.tensors))
    wanted = _without_counters(module.state_dict())
    problems = _key_problems(wanted, tensors)
    if problems:
        hint = _hint(checkpoint.tensors, tensors, wanted)
        raise CheckpointError(
            f"checkpoint {checkpoint.file} does not fit the network. " + " ".join(problems) + hint
        )
    bad = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise CheckpointError(
            f"checkpoint {checkpoint.file} has NaN or infinite values in {some(bad)}; "
            "expected finite weights. The file is damaged or its training diverged."
        )
    with torch.no_grad():
        for key, target in wanted.items():
            target.copy_(tensors[key])


def _without_counters(tensors: Tensors) -> dict[str, torch.Tensor]:
    suffix = ".num_batches_tracked"
    return {key: value for key, value in tensors.items() if not key.endswith(suffix)}


def _key_problems(wanted: Tensors, found: Tensors) -> list[str]:
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    reshaped = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    named = {"missing": missing, "unexpected": unexpected, "mis-shaped": reshaped}
    return [f"{len(keys)} {kind}: {some(keys)}." for kind, keys in named.items() if keys]


def some(keys: list[str]) -> str:
    """Name the first few keys."""
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")


def _hint(original: Tensors, renamed: Tensors, wanted: Tensors) -> str:
    found_family, wanted_family = _family(renamed), _family(wanted)
    if "body.0.res_layer.4.running_mean" in renamed and not any(
        key.startswith("body.0.res_layer.5.") for key in renamed
    ):
        return (
            " This looks like an original face.evoLVe file: its units lack the BatchNorm between "
            "the two convolutions (five entries each), which makes it another network. "
            "TFace and AdaFace files have it."
        )
    if wanted_family is None:
        return ""
    if found_family and found_family != wanted_family:
        return (
            f" The file looks like {found_family}, the chosen network is {wanted_family}: they "
            "differ in their shortcuts, so no renaming helps. Choose with --network."
        )
    if any(key.startswith("head.") for key in original):
        return " The file has a training head like AdaFace's: try --network MODEL=adaface_ir50."
    if found_family and _blocks(renamed) != _blocks(wanted):
        return (
            f" The file has {_blocks(renamed)} residual blocks, the chosen network "
            f"{_blocks(wanted)}: choose the depth with --network."
        )
    return ""


def _family(tensors: Tensors) -> str | None:
    if any(".res_layer." in key for key in tensors):
        return "the IR family (ir50, adaface_ir50)"
    if any(key.startswith("layer1.0.") for key in tensors):
        return "the iresnet family (iresnet18 … iresnet100)"
    return None


def _blocks(tensors: Tensors) -> int:
    ends = (".conv1.weight", ".res_layer.1.weight")
    return sum(key.endswith(ends) and key.startswith(("layer", "body")) for key in tensors)
