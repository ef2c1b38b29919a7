# SPDX-License-Identifier: Apache-2.0
"""What the generator is conditioned on, read off photographs by the networks that serve.

Letters  N photographs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien_export.head_model import read_head
from mien_export.manifest import sha256_of_file
from mien_export.texture_space import read_texture_space
from mien_server.warping import warped
from mien_starter.crops import (
    DECA_SIZE_PX,
    RECOGNIZER_COLUMNS,
    RECOGNIZER_ROWS,
    deca_window,
    generator_crop,
)
from mien_starter.evaluation.networks import Predict, predictor
from mien_starter.shards import Photographs
from mien_starter.shipped import WEIGHTS, shipped
from mien_starter.style_maps import StyleMaps

__all__ = ["FaceReader", "Faces", "crops_of", "embedded", "shipped_reader"]


@dataclass(frozen=True, eq=False)
class Faces:
    """N faces as the generator knows them.

    Attributes:
        crops: (N, 128, 128, 3) uint8, what it learns to make.
        embeddings: (N, 512) float32 of unit length.
        codes: (N, 236) float32, fitted; the camera is that of DECA's crop.
    """

    crops: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    codes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FaceReader:
    """Networks that read faces.

    Attributes:
        recognize: (N, 112, 112, 3) uint8 to embeddings.
        fit: (N, 224, 224, 3) uint8 to codes.
        maps: codes to style maps.
        digests: by name what tells each of them from others.
    """

    recognize: Predict
    fit: Predict
    maps: StyleMaps
    digests: Mapping[str, str]

    def read(self, photographs: Photographs, indices: Sequence[int]) -> Faces:
        """Look at some photographs, cropped about their true landmarks."""
        crops = crops_of(photographs, indices)
        return Faces(crops, embedded(self.recognize, crops), self.codes(photographs, indices))

    def codes(self, photographs: Photographs, indices: Sequence[int]) -> NDArray[np.float32]:
        """(N, 236) fitted codes of photographs, cropped about their true landmarks."""
        landmarks = photographs.labels["landmarks_68"]
        windows = [
            warped(photographs.image_rgb(i), deca_window(landmarks[i]), DECA_SIZE_PX)
            for i in indices
        ]
        return self.fit(np.stack(windows))[0]


def shipped_reader(folder: Path = WEIGHTS, *, threads: int = 1) -> FaceReader:
    """A reader of the starter weights in a folder.

    Raises:
        StarterError: a network is missing there.
        mien_export.errors.CheckpointError: a file cannot be read.
    """
    recognizer, encoder = shipped("face_recognizer", folder), shipped("deca_encoder", folder)
    head, albedo = folder / "head.npz", folder / "albedo.npz"
    return FaceReader(
        predictor(recognizer.graph),
        predictor(encoder.graph),
        StyleMaps(read_head(head), read_texture_space(albedo), threads=threads),
        {
            "face_recognizer": recognizer.sha256,
            "deca_encoder": encoder.sha256,
            "head": sha256_of_file(head),
            "albedo": sha256_of_file(albedo),
        },
    )


def crops_of(photographs: Photographs, indices: Sequence[int]) -> NDArray[np.uint8]:
    """(N, 128, 128, 3) crops of the kind that the generator makes."""
    landmarks = photographs.labels["landmarks"]
    return np.stack([generator_crop(photographs.image_rgb(i), landmarks[i]) for i in indices])


def embedded(recognize: Predict, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 512) embeddings of unit length of (N, 128, 128, 3) crops, from the recogniser's part."""
    part = crops[:, RECOGNIZER_ROWS, RECOGNIZER_COLUMNS]
    return recognize(np.ascontiguousarray(part))[0]
