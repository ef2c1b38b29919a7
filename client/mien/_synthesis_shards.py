# SPDX-License-Identifier: Apache-2.0
"""One shard of a training set on the disk, as files or as a tar for WebDataset.

Its index, ``shard-00003.jsonl``, has a row for each image in their order. It appears last: a shard
with an index is complete. The same images give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mien._synthesis_files import sync_folder, write_whole
from mien._synthesis_plan import SetFormat

__all__ = ["MadeImage", "complete_shards", "index_name", "write_shard"]

IMAGES_FOLDER = "images"
_MODE = 0o644
_SIMILARITY_DECIMALS = 6
_CODE_DIGITS = 6  # significant ones; a float32 has seven


@dataclass(frozen=True, slots=True, eq=False)
class MadeImage:
    """One image of a set, and what is known about it.

    Attributes:
        identity: number of the identity.
        image: its number among those of the identity.
        identity_seed: `NewIdentity(identity_seed)` is the person.
        seed: of the image.
        similarity: cosine of its embedding and the identity's, -1 to 1.
        codes: (236,) of its style, in DECA's order.
        png: as the server sent it.
    """

    identity: int
    image: int
    identity_seed: int
    seed: int
    similarity: float
    codes: NDArray[np.float32] = field(repr=False)
    png: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """Name of the image, without its extension: as WebDataset wants it, without dots."""
        return f"{self.identity:06d}_{self.image:04d}"

    def row(self, file: str) -> dict[str, Any]:
        """JSON-ready values.

        Args:
            file: where the image is: a path inside the set, or a member of its tar.
        """
        return {
            "file": file,
            "identity": self.identity,
            "image": self.image,
            "identity_seed": self.identity_seed,
            "seed": self.seed,
            "similarity": round(self.similarity, _SIMILARITY_DECIMALS),
            "sha256": hashlib.sha256(self.png).hexdigest(),
            "codes": [float(f"{code:.{_CODE_DIGITS}g}") for code in self.codes.tolist()],
        }


def index_name(shard: int) -> str:
    """File name of a shard's index."""
    return f"shard-{shard:05d}.jsonl"


def complete_shards(folder: Path, shards: Iterable[int]) -> set[int]:
    """Those of `shards` that need not be made again.

    Raises:
        OSError: the folder cannot be read.
    """
    names = {path.name for path in folder.iterdir()}
    return {shard for shard in shards if index_name(shard) in names}


def write_shard(
    folder: Path, set_format: SetFormat, shard: int, images: Sequence[MadeImage]
) -> None:
    """Write the images of a shard, then its index.

    Args:
        folder: of the set.
        set_format: "folders" or "webdataset".
        shard: number of the shard.
        images: all of them, in their order.

    Raises:
        OSError: they cannot be written; the shard is not complete then, and can be written again.
    """
    if set_format == "folders":
        files = _write_files(folder, images)
    else:
        files = [f"{image.key}.png" for image in images]
        target = folder / f"shard-{shard:05d}.tar"
        write_whole(folder, target, partial(_write_tar, images))
    rows = [image.row(file) for image, file in zip(images, files, strict=True)]
    index = "".join(f"{_json(row)}\n" for row in rows).encode()
    write_whole(folder, folder / index_name(shard), lambda stream: stream.write(index))
    sync_folder(folder)


def _write_files(folder: Path, images: Sequence[MadeImage]) -> list[str]:
    """Write each image to the folder of its identity; paths inside the set."""
    files = []
    for image in images:
        target = folder / IMAGES_FOLDER / f"{image.identity:06d}" / f"{image.key}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder, target, partial(_write_bytes, image.png))
        files.append(str(target.relative_to(folder)))
    for parent in {(folder / file).parent for file in files}:
        sync_folder(parent)
    sync_folder(folder / IMAGES_FOLDER)
    return files


def _write_bytes(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _write_tar(images: Sequence[MadeImage], stream: BinaryIO) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for image in images:
            row = image.row(f"{image.key}.png")
            for extension, content in (("json", _json(row).encode()), ("png", image.png)):
                member = tarfile.TarInfo(f"{image.key}.{extension}")
                member.size, member.mode = len(content), _MODE
                archive.addfile(member, io.BytesIO(content))


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, allow_nan=False)
