# SPDX-License-Identifier: Apache-2.0
"""Whose expression is nearest to the true one: the thesis's table 4.2.

The thesis compares three heads of a person in a photograph with the scan of the person: its fitted
shape at rest, the same with the expression that was fitted, and the same with the emotion model at
the intensity of the emotion that is shown (sections 4.3 and 4.5.2.1); once for photographs from the
front, once for others from the side. Its scans are FaceScape's and its cells are empty. Here the
true mesh of a synthetic person stands for the scan.

Most of such a distance is shape. So each expression is also put on the true head at rest, where
nothing else is wrong; for this the alignment of NoW is enough.

Letters  P photographs, N points of all their scans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.avatars.fitted_heads import ServedHeads
from bench.avatars.heads import Yardstick
from bench.avatars.likeness import is_the_face
from bench.avatars.scans import Alignment
from bench.avatars.shown import Shown
from bench.morphface.store import png_from_image
from mien import Avatar, Client, MienError

__all__ = ["KINDS", "MEAN_HEAD", "ON_TRUE_HEAD", "Distances", "measure_expressions"]

Array = NDArray[Any]

# The rows of the table.
KINDS = {
    "neutral": "fitted head, neutral",
    "detected": "fitted head, detected expression",
    "emotions": "fitted head, our emotion model",
}
ON_TRUE_HEAD = {
    "true_neutral": "true head, neutral",
    "true_detected": "true head, detected expression",
    "true_emotions": "true head, our emotion model",
}
MEAN_HEAD = "mean_head"


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """What was found.

    Attributes:
        mm: (row, view, alignment) -> (N,) distances of all photographs' scans.
        photographs: by view, how many were compared.
        lost: by view, photographs without an avatar of the right face.
    """

    mm: Mapping[tuple[str, str, Alignment], NDArray[np.float64]]
    photographs: Mapping[str, int]
    lost: Mapping[str, int]


def measure_expressions(
    client: Client,
    heads: ServedHeads,
    yardstick: Yardstick,
    shown: Iterable[Shown],
    on_progress: Callable[[int], object] = lambda _: None,
) -> Distances:
    """Make an avatar of each photograph, and compare heads.

    Args:
        client: of the server.
        heads: of the same server.
        yardstick: of the same head model.
        shown: photographs with their true meshes.
        on_progress: told how many are done.

    Raises:
        MienError: the server does not answer.
        ValueError: no photograph of a view gave an avatar.
    """
    found: dict[tuple[str, str, Alignment], list[Array]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    lost: dict[str, int] = defaultdict(int)
    for done, each in enumerate(shown, 1):
        avatar = _avatar(client, each)
        if avatar is None:
            lost[each.view] += 1
        else:
            counts[each.view] += 1
            for row, vertices in _rows(avatar, heads, each, yardstick).items():
                wanted = (Alignment.NOW,) if row in ON_TRUE_HEAD else Alignment
                for how, mm in yardstick.errors_mm(vertices, each.vertices, wanted).items():
                    found[row, each.view, how].append(mm)
        on_progress(done)
    bare = [view for view in lost if view not in counts]
    if bare or not counts:
        raise ValueError(
            f"no photograph from the {' or the '.join(bare) or 'world'} gave an avatar; take more "
            "people"
        )
    joined = {key: np.concatenate(parts) for key, parts in found.items()}
    return Distances(joined, counts, lost)


def _rows(
    avatar: Avatar, heads: ServedHeads, each: Shown, yardstick: Yardstick
) -> dict[str, Array]:
    fitted = heads.of(avatar)
    moved, _ = heads.movement(avatar.avatar_code, each.intensities)
    return {
        "neutral": fitted.neutral,
        "detected": fitted.detected,
        "emotions": fitted.neutral + moved,
        "true_neutral": each.neutral,
        "true_detected": each.neutral + (fitted.detected - fitted.neutral),
        "true_emotions": each.neutral + moved,
        MEAN_HEAD: yardstick.head.v_template,
    }


def _avatar(client: Client, each: Shown) -> Avatar | None:
    """None where there is none, or one of something else."""
    encoded = png_from_image(each.image_rgb)
    try:
        face = client.embed(encoded).face
        if not is_the_face(face, each.landmarks, each.landmarks_68):
            return None
        return client.avatar(encoded, texture_size=256)
    except MienError as error:
        if error.code is None:
            raise
        return None
