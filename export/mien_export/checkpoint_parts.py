# SPDX-License-Identifier: Apache-2.0
"""Which part of a weights file is a network's, where one file holds several networks.

``deca_model.tar``   ``E_flame``, ``E_detail``, ``D_detail``; from training also ``opt``,
                     ``global_step``, ``batch_size``.
``mica.tar``         ``arcface`` and ``flameModel``, whose ``generator.*`` is FLAME itself and read
                     from FLAME's own files; from training also ``opt``, ``scheduler``,
                     ``validator``, ``epoch``, ``global_step``, ``batch_size``.

Whatever else a file holds is an error: it may be what is missing elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mien_export.checkpoints import Tensors, require_state_dict, some, without_prefixes
from mien_export.errors import CheckpointError

_WRAPPERS = ("module.",)  # DataParallel's


@dataclass(frozen=True)
class Entry:
    """A state_dict inside a file, by its key there.

    Attributes:
        key: as in ``deca_model.tar`` or ``mica.tar``.
        place: what its names begin with in the network.
        ignored: beginnings of names in it that belong to something else.
    """

    key: str
    place: str = ""
    ignored: tuple[str, ...] = ()

    def tensors(self, content: object, file: str) -> Tensors:
        """Take the tensors by their names in the network.

        Raises:
            CheckpointError: the entry is no state_dict.
        """
        kept = content
        if isinstance(content, Mapping):
            names = without_prefixes({str(key): content[key] for key in content}, _WRAPPERS)
            kept = {k: v for k, v in names.items() if not k.startswith(self.ignored)}
        tensors = require_state_dict(kept, file, where=f"under {self.key}")
        return {f"{self.place}{name}": tensor for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Part:
    """The entries of a file that make up one network; called with what the file holds.

    Attributes:
        entries: all of them must be there.
        others: keys the file may have besides; they are not read.
    """

    entries: tuple[Entry, ...]
    others: tuple[str, ...]

    def __call__(self, content: object, file: str) -> Tensors:
        """Give the network's tensors, from the whole file or from a state_dict of it alone.

        Raises:
            CheckpointError: an entry is missing or no state_dict, or something is left over.
        """
        wanted = [entry.key for entry in self.entries]
        if not isinstance(content, Mapping) or _is_flat(content):
            where = f"bare or under {' and '.join(wanted)}"
            return without_prefixes(require_state_dict(content, file, where=where), _WRAPPERS)
        missing = [key for key in wanted if key not in content]
        unexpected = [str(key) for key in content if key not in (*wanted, *self.others)]
        if missing or unexpected:
            named = {"missing": missing, "unexpected": unexpected}
            problems = [
                f"{len(keys)} {kind}: {some(keys)}." for kind, keys in named.items() if keys
            ]
            raise CheckpointError(
                f"checkpoint {file} does not have the entries of this network. "
                f"{' '.join(problems)} Expected {', '.join(wanted)}, besides at most "
                f"{', '.join(self.others)}; or the tensors of this network alone, by name."
            )
        parts = [entry.tensors(content[entry.key], file) for entry in self.entries]
        return {name: tensor for part in parts for name, tensor in part.items()}


def _is_flat(content: Mapping[object, object]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())


_DECA = ("E_flame", "E_detail", "D_detail")
_DECA_TRAINING = ("opt", "global_step", "batch_size")
_MICA_TRAINING = ("opt", "scheduler", "validator", "epoch", "global_step", "batch_size")


def _deca(key: str) -> Part:
    return Part((Entry(key),), (*(other for other in _DECA if other != key), *_DECA_TRAINING))


DECA_E_FLAME, DECA_E_DETAIL, DECA_D_DETAIL = (_deca(key) for key in _DECA)
MICA_TAR = Part(
    (Entry("arcface", place="arcface."), Entry("flameModel", ignored=("generator.",))),
    _MICA_TRAINING,
)
