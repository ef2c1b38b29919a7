# SPDX-License-Identifier: Apache-2.0
"""How like their photographs avatars are: the columns of the thesis's table 4.1.

PSNR, SSIM and DIFD are what `create_avatar` answers: of the face, rendered into the photograph in
its pose and light. LPIPS needs that picture, which no answer holds; the same pipeline makes it once
more in this process, and the two crops that it hands to the recogniser are compared. DIFD means
nothing without knowing what it is between photographs, so those are compared too, by the served
recogniser.

Letters  N photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.morphface.store import png_from_image
from mien import Avatar, Client, Face, MienError
from mien_server.avatar.quality import difd
from mien_starter.evaluation.landmarks import landmark_errors
from mien_starter.shards import Photographs

__all__ = ["COLUMNS", "Likenesses", "is_the_face", "measure_likeness", "spread_of"]

Array = NDArray[Any]

COLUMNS = ("psnr", "ssim", "difd", "similarity", "lpips")
_SAME_FACE = 1.0  # a face that lies elsewhere is another one: in distances between the true eyes


@dataclass(frozen=True, slots=True, eq=False)
class Likenesses:
    """What was found.

    Attributes:
        figures: by name of `COLUMNS`, a number for each avatar; "lpips" only where it was asked
            for.
        same_difd: of pairs of photographs of one person.
        other_difd: of pairs of photographs of two people.
        refused: by code, photographs that no avatar could be made of.
        elsewhere: photographs in which something else was taken for the face.
    """

    figures: Mapping[str, Array]
    same_difd: Array
    other_difd: Array
    refused: Mapping[str, int]
    elsewhere: int


@dataclass(slots=True)
class _Tally:
    columns: dict[str, list[float]] = field(default_factory=dict)
    embeddings: list[Array] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0

    def add(self, avatar: Avatar) -> None:
        for name in ("psnr", "ssim", "difd", "similarity"):
            self.columns.setdefault(name, []).append(getattr(avatar.quality, name))


def spread_of(values: Array) -> tuple[float, float, int]:
    """Mean, standard deviation and count of those that are known; NaN without any."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return float("nan"), float("nan"), 0
    return float(known.mean()), float(known.std()), len(known)


def is_the_face(face: Face, landmarks: Array, landmarks_68: Array) -> bool:
    """Whether a face that was found is the one with these (5, 2) and (68, 2) landmarks."""
    errors = landmark_errors(face.landmarks[None], landmarks[None], landmarks_68[None])
    return bool(errors[0] < _SAME_FACE)


def measure_likeness(
    client: Client,
    photographs: Photographs,
    rows: Sequence[int],
    *,
    lpips: Callable[[bytes], float] | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Likenesses:
    """Make an avatar of every photograph.

    Args:
        client: of the server.
        photographs: with their labels.
        rows: of those that are measured.
        lpips: of the avatar that is made of an encoded photograph; None leaves it out.
        on_progress: told how many are done.

    Raises:
        MienError: the server does not answer; what it refuses is counted.
    """
    tally = _Tally()
    labels = photographs.labels
    for done, row in enumerate(rows, 1):
        encoded = png_from_image(photographs.image_rgb(row))
        try:
            embedding = client.embed(encoded)
            if not is_the_face(
                embedding.face, labels["landmarks"][row], labels["landmarks_68"][row]
            ):
                tally.elsewhere += 1
                continue
            tally.embeddings.append(embedding.vector)
            tally.people.append(int(labels["identity"][row]))
            tally.add(client.avatar(encoded))
        except MienError as error:
            if error.code is None:
                raise
            tally.refused[error.code] = tally.refused.get(error.code, 0) + 1
            continue
        finally:
            on_progress(done)
        if lpips is not None:
            tally.columns.setdefault("lpips", []).append(lpips(encoded))
    same, other = _difds(np.stack(tally.embeddings), np.array(tally.people))
    figures = {name: np.array(values) for name, values in tally.columns.items()}
    return Likenesses(figures, same, other, tally.refused, tally.elsewhere)


def _difds(embeddings: Array, people: Array) -> tuple[Array, Array]:
    """DIFD of all pairs, of one person and of two."""
    first, second = np.triu_indices(len(people), 1)
    all_pairs = np.array(
        [difd(embeddings[i], embeddings[j]) for i, j in zip(first, second, strict=True)]
    )
    same = people[first] == people[second]
    return all_pairs[same], all_pairs[~same]
