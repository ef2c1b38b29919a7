# SPDX-License-Identifier: Apache-2.0
"""Computes the features of photographs, shard by shard, and takes over what is known already.

Three quarters of the time go into latents. When another network changes, a folder of features for
the old one still has latents, and a new folder takes them over.

Letters  N photographs.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.evaluation.networks import Predict
from mien_starter.face_features import (
    PLAN_FILE,
    SHARD_PHOTOGRAPHS,
    FeaturePlan,
    array_file,
    faces_file,
    plan_of,
    read_faces,
    read_plan,
)
from mien_starter.face_reader import FaceReader, crops_of, embedded
from mien_starter.shards import Photographs
from mien_starter.style_maps import bytes_from_maps

__all__ = ["write_features"]

_AT_ONCE = 32
# What each part is made by.
_MAKERS: Mapping[str, tuple[str, ...]] = {
    "latents": ("latent_encoder",),
    "embeddings": ("face_recognizer",),
    "codes": ("deca_encoder",),
    "maps": ("deca_encoder", "head", "albedo"),
}


def write_features(
    photographs: Photographs,
    encode: Predict,
    encoder_sha256: str,
    reader: FaceReader,
    directory: Path,
    *,
    known: Path | None = None,
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
        known: finished features of the same photographs, some of whose networks were others;
            what the same networks made is taken over.
        shard_photographs: how many are stored together.
        on_progress: told how many photographs are finished, those of earlier runs included.

    Raises:
        StarterError: the folder holds features of other photographs or networks; or `known` has
            none, is not finished, or is of other photographs.
    """
    networks = {**reader.digests, "latent_encoder": encoder_sha256}
    plan = plan_of(photographs, networks, shard_photographs)
    taken = _Taken(known, plan) if known else None
    _keep_plan(plan, directory)
    on_progress(0)
    for number, indices in enumerate(plan.shards()):
        if not faces_file(directory, number).is_file():
            arrays = taken.shard(number) if taken else {}
            arrays |= _computed(photographs, indices, encode, reader, arrays)
            identity = photographs.labels["identity"][indices.start : indices.stop]
            _write_shard(directory, number, identity, arrays)
        on_progress(indices.stop)
    return plan


class _Taken:
    """Parts of another folder that are right for a plan."""

    def __init__(self, directory: Path, plan: FeaturePlan) -> None:
        known = read_plan(directory)
        if dataclasses.replace(known, networks=plan.networks) != plan:
            raise StarterError(
                f"{directory} holds features of other photographs, {known}; asked for are {plan}. "
                "Give a folder that was made of the same, in the same order, or none."
            )
        self._directory = directory
        self._names = [
            name
            for name, makers in _MAKERS.items()
            if all(known.networks.get(maker) == plan.networks[maker] for maker in makers)
        ]

    def shard(self, number: int) -> dict[str, NDArray[Any]]:
        """Arrays by name."""
        small = read_faces(self._directory, number)
        return {
            name: small[name] if name in small else np.load(self._file(name, number))
            for name in self._names
        }

    def _file(self, name: str, number: int) -> Path:
        return array_file(self._directory, name, number)


def _computed(
    photographs: Photographs,
    indices: range,
    encode: Predict,
    reader: FaceReader,
    known: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Arrays of a shard that are not known."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _MAKERS if name not in known}
    for start in range(indices.start, indices.stop, _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, indices.stop))
        here = {n: array[start - indices.start :][: len(rows)] for n, array in known.items()}
        for name, array in _rows(photographs, rows, encode, reader, here).items():
            parts[name].append(array)
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}


def _rows(
    photographs: Photographs,
    rows: Sequence[int],
    encode: Predict,
    reader: FaceReader,
    known: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    if "latents" not in known or "embeddings" not in known:
        crops = crops_of(photographs, rows)
        if "latents" not in known:
            found["latents"] = encode(crops)[0].astype(np.float16)
        if "embeddings" not in known:
            found["embeddings"] = embedded(reader.recognize, crops)
    if "codes" not in known:
        found["codes"] = reader.codes(photographs, rows)
    if "maps" not in known:
        codes = {**known, **found}["codes"]
        found["maps"] = bytes_from_maps(reader.maps.of(codes))
    return found


def _write_shard(
    directory: Path, number: int, identity: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]
) -> None:
    for name in ("latents", "maps"):
        _save(array_file(directory, name, number), functools.partial(np.save, arr=arrays[name]))
    small = {name: arrays[name] for name in ("embeddings", "codes")}
    _save(faces_file(directory, number), lambda file: np.savez(file, identity=identity, **small))


def _keep_plan(plan: FeaturePlan, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PLAN_FILE
    if path.is_file() and (found := read_plan(directory)) != plan:
        raise StarterError(
            f"{directory} holds features of other photographs or by other networks, {found}; asked "
            f"for was {plan}. Give the same to finish it, or another folder."
        )
    text = json.dumps(dataclasses.asdict(plan), indent=2) + "\n"
    _save(path, lambda file: file.write(text.encode()))


def _save(path: Path, write: Callable[[Any], object]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        write(file)
    os.replace(unfinished, path)
