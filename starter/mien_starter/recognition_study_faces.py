# SPDX-License-Identifier: Apache-2.0
"""Equally many aligned faces of equally many people, generated ones or rendered ones.

Letters  N faces, of P people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_starter.crops import GENERATED_SIZE_PX
from mien_starter.errors import StarterError
from mien_starter.face_reader import crops_of
from mien_starter.shards import Photographs

__all__ = ["AlignedFaces", "GeneratedSet", "read_generated_set", "rendered_faces"]

_MADE_BY = "mien synthesize"


@dataclass(frozen=True, eq=False)
class AlignedFaces:
    """N faces in memory, 49 kB each.

    Attributes:
        crops: (N, 128, 128, 3) uint8, `mien_starter.crops.generator_crop`.
        identity: (N,) 0 to P - 1.
        origin: where they come from, for people to read.
    """

    crops: NDArray[np.uint8]
    identity: NDArray[np.int64]
    origin: str

    def __len__(self) -> int:
        return len(self.identity)

    def digest(self) -> str:
        """Tells these faces from others."""
        found = hashlib.sha256(self.identity.tobytes())
        found.update(np.ascontiguousarray(self.crops).data)
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class GeneratedSet:
    """What `mien synthesize` has written, in folders.

    Attributes:
        folder: of the set.
        files: by number of the person the images inside the folder, in their order.
        generator: digest of the weights that made them.
        untrained: random ones are among them.
    """

    folder: Path
    files: Mapping[int, Sequence[str]]
    generator: str
    untrained: bool

    def faces(self, people: int, images: int) -> AlignedFaces:
        """The first images of the first people.

        Raises:
            StarterError: there are not as many, or one is no face of the generator's size.
        """
        chosen = _chosen(self.files, people, images, str(self.folder))
        crops = [self._read(file) for files in chosen.values() for file in files]
        return AlignedFaces(
            np.stack(crops),
            np.repeat(np.arange(people), images),
            f"{people * images} images of {people} people by generator {self.generator[:12]}",
        )

    def _read(self, file: str) -> NDArray[np.uint8]:
        path = self.folder / file
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        side = GENERATED_SIZE_PX
        if bgr is None or bgr.shape != (side, side, 3):
            found = "cannot be read" if bgr is None else f"is {bgr.shape[1]} x {bgr.shape[0]}"
            raise StarterError(f"{path} {found}; expected a face of {side} x {side} pixels.")
        image: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return image


def read_generated_set(folder: Path) -> GeneratedSet:
    """Open a finished set.

    Raises:
        StarterError: the folder holds none, or one that is not finished or not in folders.
    """
    path = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if manifest.get("made_by") != _MADE_BY:
        raise StarterError(f"{folder} holds no data set of `{_MADE_BY}`; give the folder of one.")
    if not manifest["complete"]:
        raise StarterError(f"{folder} is not complete; give its command again to finish it.")
    if manifest["plan"]["format"] != "folders":
        raise StarterError(
            f"{folder} has the format {manifest['plan']['format']}; expected folders. Make it with "
            "--format folders."
        )
    files: dict[int, list[str]] = {}
    for index in sorted(folder.glob("shard-*.jsonl")):
        for line in index.read_text().splitlines():
            row = json.loads(line)
            files.setdefault(row["identity"], []).append(row["file"])
    generator = manifest["generator"]
    return GeneratedSet(folder, files, generator["digest"], generator["untrained"])


def rendered_faces(photographs: Photographs, people: int, images: int) -> AlignedFaces:
    """As many photographs of synthetic people, cropped about their true landmarks.

    Args:
        photographs: of the split "train".
        people: the first so many by number that have enough photographs.
        images: of each, the first ones by shot.

    Raises:
        StarterError: there are not as many, or they are of another split.
    """
    labels = photographs.of_split("train").labels
    rows: dict[int, list[int]] = {}
    for row in np.lexsort((labels["shot"], labels["identity"])):
        rows.setdefault(int(labels["identity"][row]), []).append(int(row))
    chosen = _chosen(rows, people, images, "the rendered data")
    indices = [row for own in chosen.values() for row in own]
    return AlignedFaces(
        crops_of(photographs, indices),
        np.repeat(np.arange(people), images),
        f"{people * images} rendered photographs of {people} people",
    )


def _chosen(
    of_people: Mapping[int, Sequence[Any]], people: int, images: int, what: str
) -> dict[int, Sequence[Any]]:
    enough = [person for person in sorted(of_people) if len(of_people[person]) >= images]
    if len(enough) < people:
        raise StarterError(
            f"{what} has {len(enough)} people with {images} images or more; {people} are needed. "
            "Make more, or ask for fewer people or images."
        )
    return {person: of_people[person][:images] for person in enough[:people]}
