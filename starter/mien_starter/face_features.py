# SPDX-License-Identifier: Apache-2.0
"""Everything the generator learns from, computed once: latents, embeddings, codes and style maps.

A shard of 512 photographs is three files: ``latents-00012.npy`` and ``maps-00012.npy`` are mapped
into memory, ``faces-00012.npz`` holds the rest. The last is renamed into place last, so a shard
that has one is complete. ``features.json`` says of which photographs they are and which networks
made them; a folder goes on with the same only.

Letters  N photographs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.shards import Photographs

__all__ = [
    "FaceFeatures",
    "FeaturePlan",
    "array_file",
    "faces_file",
    "plan_of",
    "read_faces",
    "read_plan",
]

SHARD_PHOTOGRAPHS = 512
PLAN_FILE = "features.json"
_COMMAND = "python -m mien_starter features"


@dataclass(frozen=True)
class FeaturePlan:
    """What a folder of features is of, and what made it.

    Attributes:
        split: of all its people.
        photographs: N.
        photographs_sha256: of their persons, shots and codes.
        networks: by name a digest of each network that read them.
        shard_photographs: how many are stored together.
    """

    split: str
    photographs: int
    photographs_sha256: str
    networks: Mapping[str, str]
    shard_photographs: int = SHARD_PHOTOGRAPHS

    @property
    def digest(self) -> str:
        """Tells these features from others."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self)).encode()).hexdigest()

    def shards(self) -> list[range]:
        """Photographs of each shard."""
        step = self.shard_photographs
        starts = range(0, self.photographs, step)
        return [range(start, min(start + step, self.photographs)) for start in starts]


def plan_of(
    photographs: Photographs, networks: Mapping[str, str], shard_photographs: int
) -> FeaturePlan:
    """The plan of features of some photographs.

    Raises:
        StarterError: they are of people of more than one split.
    """
    splits = photographs.splits
    if len(splits) != 1:
        raise StarterError(
            f"the photographs are of people of the splits {' and '.join(splits)}; features are of "
            "one. Give the data sets of each to a folder of its own."
        )
    digest = hashlib.sha256()
    for name in ("identity", "shot", "codes"):
        digest.update(np.ascontiguousarray(photographs.labels[name]).tobytes())
    known = dict(sorted(networks.items()))
    return FeaturePlan(splits[0], len(photographs), digest.hexdigest(), known, shard_photographs)


class FaceFeatures:
    """Features of one or several folders, in the order of their photographs.

    Embeddings and codes stay in memory (3 kB each), latents and maps in the files. Safe to hand to
    a forked process.

    Args:
        directories: finished folders whose features the same networks made.

    Attributes:
        identity: (N,) numbers of the people.
        embeddings: (N, 512) float32 of unit length.
        codes: (N, 236) float32, fitted.
        split: of all the people.
        digest: tells these features from others.

    Raises:
        StarterError: a folder has no features or not all, or other networks made them.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        plans = [read_plan(directory) for directory in directories]
        for directory, plan in zip(directories, plans, strict=True):
            if (plan.networks, plan.split) != (plans[0].networks, plans[0].split):
                raise StarterError(
                    f"{directory} was made by other networks than {directories[0]}, or of another "
                    f"split: {plan}, not {plans[0]}. Make both with the same."
                )
        self._shards = [
            (directory, number, len(indices))
            for directory, plan in zip(directories, plans, strict=True)
            for number, indices in enumerate(plan.shards())
        ]
        small = [read_faces(directory, number) for directory, number, _ in self._shards]
        self.identity: NDArray[np.int64] = _joined(small, "identity")
        self.embeddings: NDArray[np.float32] = _joined(small, "embeddings")
        self.codes: NDArray[np.float32] = _joined(small, "codes")
        self.split = plans[0].split
        self.digest = hashlib.sha256("".join(p.digest for p in plans).encode()).hexdigest()
        self._starts = np.cumsum([0, *(count for *_, count in self._shards)])
        self._mapped: dict[tuple[str, int], NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.identity)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}

    def latent(self, index: int) -> NDArray[np.float16]:
        """(3, 32, 32)."""
        return self._row("latents", index)

    def maps(self, index: int) -> NDArray[np.uint8]:
        """(9, 128, 128), see `mien_starter.style_maps.maps_from_bytes`."""
        return self._row("maps", index)

    def _row(self, name: str, index: int) -> NDArray[Any]:
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        if (name, shard) not in self._mapped:
            directory, number, _ = self._shards[shard]
            path = array_file(directory, name, number)
            self._mapped[name, shard] = np.load(path, mmap_mode="r", allow_pickle=False)
        row: NDArray[Any] = self._mapped[name, shard][index - self._starts[shard]]
        return row


def _joined(shards: Sequence[Mapping[str, NDArray[Any]]], name: str) -> NDArray[Any]:
    return np.concatenate([shard[name] for shard in shards])


def read_faces(directory: Path, number: int) -> dict[str, NDArray[Any]]:
    """``identity``, ``embeddings`` and ``codes`` of a shard.

    Raises:
        StarterError: it is not finished.
    """
    path = faces_file(directory, number)
    if not path.is_file():
        raise StarterError(
            f"{directory} is not finished; call `{_COMMAND}` again to go on with it."
        )
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_plan(directory: Path) -> FeaturePlan:
    """The plan of a folder.

    Raises:
        StarterError: it has none.
    """
    path = directory / PLAN_FILE
    if not path.is_file():
        raise StarterError(
            f"{directory} holds no features ({PLAN_FILE} is missing); make some with `{_COMMAND}`."
        )
    return FeaturePlan(**json.loads(path.read_text()))


def array_file(directory: Path, name: str, number: int) -> Path:
    """Of ``latents`` or ``maps`` of a shard."""
    return directory / f"{name}-{number:05d}.npy"


def faces_file(directory: Path, number: int) -> Path:
    """Of what else a shard has; it is there once the shard is finished."""
    return directory / f"faces-{number:05d}.npz"
