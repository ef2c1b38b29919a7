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
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.evaluation.networks import Predict
from mien_starter.face_reader import FaceReader
from mien_starter.shards import Photographs
from mien_starter.style_maps import bytes_from_maps

__all__ = ["FaceFeatures", "FeaturePlan", "plan_of", "write_features"]

SHARD_PHOTOGRAPHS = 512
PLAN_FILE = "features.json"
_AT_ONCE = 32
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


def write_features(
    photographs: Photographs,
    encode: Predict,
    encoder_sha256: str,
    reader: FaceReader,
    directory: Path,
    *,
    shard_photographs: int = SHARD_PHOTOGRAPHS,
    on_progress: Callable[[int], object] = lambda _: None,
) -> FeaturePlan:
    """Compute what is not there yet.

    Args:
        photographs: of one split.
        encode: latent_encoder.
        encoder_sha256: tells it from others.
        reader: of identity and style.
        directory: made where it is missing.
        shard_photographs: how many are stored together.
        on_progress: told how many photographs are finished, those of earlier runs included.

    Raises:
        StarterError: the folder holds features of other photographs or networks.
    """
    networks = {**reader.digests, "latent_encoder": encoder_sha256}
    plan = plan_of(photographs, networks, shard_photographs)
    _keep_plan(plan, directory)
    on_progress(0)
    for number, indices in enumerate(plan.shards()):
        if not _faces(directory, number).is_file():
            _write_shard(photographs, indices, encode, reader, directory, number)
        on_progress(indices.stop)
    return plan


def _write_shard(
    photographs: Photographs,
    indices: range,
    encode: Predict,
    reader: FaceReader,
    directory: Path,
    number: int,
) -> None:
    parts: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("latents", "maps", "embeddings", "codes")
    }
    for start in range(indices.start, indices.stop, _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, indices.stop))
        faces = reader.read(photographs, rows)
        parts["latents"].append(encode(faces.crops)[0].astype(np.float16))
        parts["maps"].append(bytes_from_maps(reader.maps.of(faces.codes)))
        parts["embeddings"].append(faces.embeddings)
        parts["codes"].append(faces.codes)
    arrays = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    identity = photographs.labels["identity"][indices.start : indices.stop]
    for name in ("latents", "maps"):
        _save(_array(directory, name, number), functools.partial(np.save, arr=arrays[name]))
    small = {name: arrays[name] for name in ("embeddings", "codes")}
    _save(_faces(directory, number), lambda file: np.savez(file, identity=identity, **small))


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
        plans = [_read_plan(directory) for directory in directories]
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
        small = [_read_faces(directory, number) for directory, number, _ in self._shards]
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
            path = _array(directory, name, number)
            self._mapped[name, shard] = np.load(path, mmap_mode="r", allow_pickle=False)
        row: NDArray[Any] = self._mapped[name, shard][index - self._starts[shard]]
        return row


def _joined(shards: Sequence[Mapping[str, NDArray[Any]]], name: str) -> NDArray[Any]:
    return np.concatenate([shard[name] for shard in shards])


def _read_faces(directory: Path, number: int) -> dict[str, NDArray[Any]]:
    path = _faces(directory, number)
    if not path.is_file():
        raise StarterError(
            f"{directory} is not finished; call `{_COMMAND}` again to go on with it."
        )
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_plan(directory: Path) -> FeaturePlan:
    path = directory / PLAN_FILE
    if not path.is_file():
        raise StarterError(
            f"{directory} holds no features ({PLAN_FILE} is missing); make some with `{_COMMAND}`."
        )
    return FeaturePlan(**json.loads(path.read_text()))


def _keep_plan(plan: FeaturePlan, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PLAN_FILE
    if path.is_file() and (found := _read_plan(directory)) != plan:
        raise StarterError(
            f"{directory} holds features of other photographs or by other networks, {found}; asked "
            f"for was {plan}. Give the same to finish it, or another folder."
        )
    text = json.dumps(dataclasses.asdict(plan), indent=2) + "\n"
    _save(path, lambda file: file.write(text.encode()))


def _array(directory: Path, name: str, number: int) -> Path:
    return directory / f"{name}-{number:05d}.npy"


def _faces(directory: Path, number: int) -> Path:
    return directory / f"faces-{number:05d}.npz"


def _save(path: Path, write: Callable[[Any], object]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        write(file)
    os.replace(unfinished, path)
