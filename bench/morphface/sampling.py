# SPDX-License-Identifier: Apache-2.0
"""What solver, number of steps and precision do to finished faces.

Every way of sampling makes the same people's faces from the same seeds and styles with the paper's
blending, so that ways are compared face by face. Each has a folder of its own, of the form that
`bench.morphface.store` describes.

Letters  P people, M pictures of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.morphface.directions import Interval, interval_of_mean
from bench.morphface.features import feature_spaces
from bench.morphface.figures import Figures, measured, real_faces
from bench.morphface.making import ALL, PHOTOGRAPHS
from bench.morphface.store import Faces, Store, all_faces

__all__ = ["GROUP", "SETTING", "WAYS", "Sampled", "Way", "psnr_db", "sampled"]

GROUP, SETTING = "photographed", "default"


@dataclass(frozen=True, slots=True)
class Way:
    """How faces are sampled.

    Attributes:
        solver: of `generate_faces`.
        steps: of the solver.
        variant: precision that is served; None is fp32.
        reference: the way whose faces these should be.
    """

    solver: str
    steps: int
    variant: str | None = None
    reference: str = "ddim_50"


WAYS: Mapping[str, Way] = {
    "ddim_50": Way("ddim", 50),
    "ddim_16": Way("ddim", 16),
    "dpm_8": Way("dpm_solver_2m", 8),
    "dpm_12": Way("dpm_solver_2m", 12),
    "dpm_16": Way("dpm_solver_2m", 16),
    "dpm_24": Way("dpm_solver_2m", 24),
    "dpm_16_fp16": Way("dpm_solver_2m", 16, "fp16", "dpm_16"),
    "dpm_16_int8": Way("dpm_solver_2m", 16, "int8", "dpm_16"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """What a way gives.

    Attributes:
        figures: of its faces.
        changes: measure -> change from the reference, in pairs of people.
        psnr_db: (P M,) of each face to the reference's; infinite where they are equal.
        cosines: (P M,) of both faces' embeddings.
    """

    figures: Figures
    changes: Mapping[str, Interval]
    psnr_db: NDArray[np.float64]
    cosines: NDArray[np.float64]


def sampled(folder: Path, names: Sequence[str], people: int, images: int) -> dict[str, Sampled]:
    """Measure the faces of some ways.

    Args:
        folder: with a folder of each way; that of each reference is needed, too.
        names: of the ways.
        people: P.
        images: M.

    Raises:
        OSError: a face is not there.
    """
    made: dict[str, list[Faces]] = {}
    figures: dict[str, Figures] = {}
    for name in dict.fromkeys([*names, *(WAYS[name].reference for name in names)]):
        store = Store(folder / name)
        photographs = [store.read(PHOTOGRAPHS, ALL, person) for person in range(people)]
        real = real_faces(photographs, images)
        spaces = feature_spaces(all_faces(real.covered))
        made[name] = [store.read(GROUP, SETTING, person) for person in range(people)]
        figures[name] = measured(made[name], real.covered, spaces, are_the_same=True)
    found = {}
    for name in names:
        before = WAYS[name].reference
        ours, theirs = all_faces(made[name]), all_faces(made[before])
        found[name] = Sampled(
            figures=figures[name],
            changes={
                measure: interval_of_mean(values - figures[before].by_person[measure])
                for measure, values in figures[name].by_person.items()
            },
            psnr_db=psnr_db(ours.images_rgb, theirs.images_rgb),
            cosines=np.sum(
                ours.embeddings.astype(np.float64) * theirs.embeddings.astype(np.float64), axis=1
            ),
        )
    return found


def psnr_db(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,) decibels of (N, H, W, 3) pictures to other ones, of a peak of 255."""
    off = images.astype(np.float64) - others
    errors = np.square(off).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        decibels: NDArray[np.float64] = 10 * np.log10(255.0**2 / errors)
    return decibels
