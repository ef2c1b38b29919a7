# SPDX-License-Identifier: Apache-2.0
"""Crops of expressions with their labels on disk, 240 to a shard, and photographs where wanted.

A shard ``pairs-00012.npz`` holds crops and labels, ``photographs-00012.npz`` beside it the JPEGs
they were cut from. The first is renamed into place last, so a shard that has it is complete. Equal
recordings make equal bytes.

Letters  N pairs, A facial actions; of two the onset is first, then the apex.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.errors import StarterError
from mien_starter.spontaneity.recording import Item, Recording

__all__ = [
    "Pairs",
    "pairs_file",
    "photographs_file",
    "read_pairs",
    "read_photographs",
    "write_atomically",
    "write_shard",
]

JPEG_QUALITY = 95


@dataclass(frozen=True, eq=False)
class Pairs:
    """Onset and apex of N expressions.

    Attributes:
        crops: (N, 2, 44, 44) uint8 grey, by `mien_server.expression_crop`.
        identity: (N,) int64 numbers of people.
        emotion: (N,) int64 indices into `EMOTIONS`.
        spontaneous: (N,) int64 1, or 0 where it is posed: indices into CompCNN's `CLASSES`.
        take: (N,) int64 which recording of these three.
        actions: (N, 2, A) float32 true intensities of the expression.
        cues: (N, 6) float32 true cues, in the order of `CUES`; intensity among them.
        landmarks: (N, 2, 5, 2) float32 in the photographs, pixels counted from their corners.
        pose_deg: (N, 2, 3) float32 yaw, pitch and roll.
    """

    crops: NDArray[np.uint8]
    identity: NDArray[np.int64]
    emotion: NDArray[np.int64]
    spontaneous: NDArray[np.int64]
    take: NDArray[np.int64]
    actions: NDArray[np.float32]
    cues: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    pose_deg: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.identity)


def pairs_file(directory: Path, name: str) -> Path:
    """Where crops and labels of a shard are."""
    return directory / f"pairs-{name}.npz"


def photographs_file(directory: Path, name: str) -> Path:
    """Where its photographs are."""
    return directory / f"photographs-{name}.npz"


def write_shard(
    directory: Path, name: str, recordings: Sequence[Recording], *, photographs: bool
) -> None:
    """Write a shard; it counts as written once all of it is there."""
    if photographs:
        jpegs = [_jpeg(image) for one in recordings for image in one.photographs]
        ends = np.cumsum([jpeg.size for jpeg in jpegs])
        _save(photographs_file(directory, name), {"jpegs": np.concatenate(jpegs), "ends": ends})
    items = np.array([one.item for one in recordings], np.int64)
    arrays: dict[str, NDArray[Any]] = dict(zip(Item._fields, items.T, strict=True))
    for label in ("crops", "actions", "cues", "landmarks", "pose_deg"):
        arrays[label] = np.stack([getattr(one, label) for one in recordings])
    _save(pairs_file(directory, name), arrays)


def read_pairs(directories: Sequence[Path]) -> Pairs:
    """All finished pairs of one or several folders, in the order of their shards.

    Raises:
        StarterError: there are none.
    """
    paths = [path for directory in directories for path in sorted(directory.glob("pairs-*.npz"))]
    if not paths:
        raise StarterError(
            f"no finished shard of expressions in {', '.join(map(str, directories))}; make one "
            "with `python -m mien_starter expressions`."
        )
    shards = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            shards.append({field.name: arrays[field.name] for field in fields(Pairs)})
    return Pairs(**{name: np.concatenate([s[name] for s in shards]) for name in shards[0]})


def read_photographs(directory: Path, name: str) -> list[NDArray[np.uint8]]:
    """The photographs of one shard: onset and apex of the first pair, of the second and so on.

    Returns:
        Of each (S, S, 3) uint8 RGB.

    Raises:
        StarterError: they were not kept.
    """
    path = photographs_file(directory, name)
    if not path.is_file():
        raise StarterError(
            f"{path} is missing; make the expressions with --photographs to keep them."
        )
    with np.load(path, allow_pickle=False) as arrays:
        jpegs = np.split(arrays["jpegs"], arrays["ends"][:-1])
    bgr = (cv2.imdecode(jpeg, cv2.IMREAD_COLOR) for jpeg in jpegs)
    return [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) for image in bgr]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is never seen in part."""
    # The name of the process keeps two writers of one shard apart.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def _jpeg(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    return np.asarray(
        cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].ravel(), np.uint8
    )
