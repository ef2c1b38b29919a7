# SPDX-License-Identifier: Apache-2.0
"""What was made and measured, on the disk: a person's pictures, then one file that completes them.

::

    FOLDER/plan.json                        what is made; a run goes on with the same only
    FOLDER/people.json                      who the people are
    FOLDER/photographed/w_1/007_03.png      picture 3 of person 7 in one setting
    FOLDER/photographed/w_1/007.npz         what the server says of that person's pictures
    FOLDER/photographs/all/007.npz          the same of that person's photographs

Letters  M pictures of a person.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Faces", "Store", "all_faces", "image_from_png", "part_of", "png_from_image"]

_ARRAYS = ("embeddings", "codes", "face_scores", "similarities", "seeds")


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Pictures, and what the server reads off them.

    Attributes:
        images_rgb: (M, 128, 128, 3) uint8, aligned.
        embeddings: (M, 512) float32, the recogniser's.
        codes: (M, 236) float32, fitted to the picture.
        face_scores: (M,) float32, how sure the landmarker is that it is a face, 0 to 1.
        similarities: (M,) float32 to the identity that was asked for; NaN for photographs.
        seeds: (M,) uint64; of a photograph the number of the shot.
    """

    images_rgb: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    codes: NDArray[np.float32]
    face_scores: NDArray[np.float32]
    similarities: NDArray[np.float32]
    seeds: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.seeds)


class Store:
    """The pictures of all people, by group and setting.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_there(self, group: str, setting: str, person: int) -> bool:
        """Whether a person's pictures are complete."""
        return self._file(group, setting, person).is_file()

    def write(
        self, group: str, setting: str, person: int, faces: Faces, pngs: Sequence[bytes]
    ) -> None:
        """Keep a person's pictures, as they came and as they were read."""
        target = self._file(group, setting, person)
        target.parent.mkdir(parents=True, exist_ok=True)
        for number, png in enumerate(pngs):
            _picture(target, number).write_bytes(png)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        with unfinished.open("wb") as file:
            np.savez(file, **{name: getattr(faces, name) for name in _ARRAYS})
        os.replace(unfinished, target)

    def read(self, group: str, setting: str, person: int) -> Faces:
        """A person's pictures.

        Raises:
            OSError: they are not there.
        """
        target = self._file(group, setting, person)
        with np.load(target) as arrays:
            known = {name: arrays[name] for name in _ARRAYS}
        pictures = [_picture(target, number) for number in range(len(known["seeds"]))]
        images = np.stack([image_from_png(path.read_bytes()) for path in pictures])
        return Faces(images_rgb=images, **known)

    def _file(self, group: str, setting: str, person: int) -> Path:
        return self.folder / group / setting / f"{person:03d}.npz"


def part_of(faces: Faces, rows: slice | NDArray[np.intp]) -> Faces:
    """Some of them."""
    return Faces(*(getattr(faces, name)[rows] for name in ("images_rgb", *_ARRAYS)))


def all_faces(people: Sequence[Faces]) -> Faces:
    """Those of several people, one after the other."""
    names = ("images_rgb", *_ARRAYS)
    return Faces(*(np.concatenate([getattr(faces, name) for faces in people]) for name in names))


def image_from_png(png: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    image: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return image


def png_from_image(image_rgb: NDArray[np.uint8]) -> bytes:
    """Of (H, W, 3) RGB."""
    _, content = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    return bytes(content)


def _picture(target: Path, number: int) -> Path:
    return target.with_name(f"{target.stem}_{number:02d}.png")
