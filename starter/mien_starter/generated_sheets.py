# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of what the generator's networks make of photographs.

Letters  R rows, C columns, S side of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien_server.deca_codes import with_parts
from mien_server.rendering.maps import LAMBERTIAN
from mien_starter.errors import StarterError
from mien_starter.evaluation.networks import Predict
from mien_starter.face_reader import FaceReader, crops_of
from mien_starter.generated_faces import generated, rounded
from mien_starter.shards import Photographs

__all__ = ["faces_sheet", "reconstructions_sheet", "write_picture"]

Pictures = NDArray[np.uint8]

_NOTHING = 255


def reconstructions_sheet(
    predict: Mapping[str, Predict], photographs: Photographs, *, rows: int, columns: int
) -> Pictures:
    """Photographs of one person after the other, each above what comes out of the autoencoder.

    Args:
        predict: latent_encoder and latent_decoder.
        photographs: at least R times C, of as many people.
        rows: R pairs of rows.
        columns: C.

    Returns:
        (2 R * 128, C * 128, 3).

    Raises:
        StarterError: there are too few people.
    """
    crops = crops_of(photographs, _people(photographs, rows * columns))
    (latents,) = predict["latent_encoder"](crops)
    pictures = rounded(predict["latent_decoder"](latents)[0])
    lines = []
    for start in range(0, rows * columns, columns):
        lines += [crops[start : start + columns], pictures[start : start + columns]]
    return _laid_out(lines)


def faces_sheet(
    predict: Mapping[str, Predict],
    reader: FaceReader,
    photographs: Photographs,
    *,
    rows: int,
    columns: int,
) -> Pictures:
    """Generated faces: a person in each row, beside their photograph; a style in each column.

    Styles are the codes of other people's photographs, but for the shape, which is the person's
    own; above them stands what a camera sees of the head they were fitted to. The first line of
    faces is sampled from seeds 0, 1, ..., the second goes on from there.

    Args:
        predict: face_denoiser, style_encoder and latent_decoder.
        reader: of identity and style.
        photographs: of at least R + C people.
        rows: R people.
        columns: C styles.

    Returns:
        ((R + 1) * 128, (C + 1) * 128, 3).

    Raises:
        StarterError: there are too few people.
    """
    chosen = _people(photographs, rows + columns)
    people, styles = (reader.read(photographs, part) for part in (chosen[:rows], chosen[rows:]))
    own = np.repeat(people.codes, columns, axis=0)  # (R C, 236)
    codes = with_parts(np.tile(styles.codes, (rows, 1)), own, frozenset({"shape"}))
    (style,) = predict["style_encoder"](reader.maps.of(codes))
    identity = np.repeat(people.embeddings, columns, axis=0)
    faces = generated(predict, identity, style, list(range(rows * columns)))
    lit = reader.maps.of(styles.codes)[:, LAMBERTIAN]
    seen = np.asarray(255 * np.clip(lit, 0, 1), np.float32)
    lines = [np.concatenate([np.full_like(people.crops[:1], _NOTHING), rounded(seen)])]
    for row in range(rows):
        line = faces[row * columns : (row + 1) * columns]
        lines.append(np.concatenate([people.crops[row : row + 1], line]))
    return _laid_out(lines)


def write_picture(picture: Pictures, path: Path) -> None:
    """Write (H, W, 3) RGB; the ending of the path decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def _people(photographs: Photographs, count: int) -> list[int]:
    """The first photograph of each of so many people, in the order in which they appear."""
    first = np.sort(np.unique(photographs.labels["identity"], return_index=True)[1])
    if len(first) < count:
        raise StarterError(
            f"the photographs show {len(first)} people and {count} are needed; give more data or "
            "ask for fewer rows and columns."
        )
    return [int(index) for index in first[:count]]


def _laid_out(lines: Sequence[Pictures]) -> Pictures:
    return np.vstack([np.hstack(list(line)) for line in lines])
