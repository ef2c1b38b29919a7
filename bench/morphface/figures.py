# SPDX-License-Identifier: Apache-2.0
"""All measures of one setting, person by person, so that settings can be compared in pairs.

Letters  P people, M pictures of each, R photographs of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.morphface.features import FeatureSpace
from bench.morphface.measures import (
    attribute_variances,
    frequency_variances,
    inter_class_similarities,
    intra_class_similarity,
)
from bench.morphface.recall import are_covered
from bench.morphface.store import Faces, all_faces, part_of

__all__ = ["Figures", "RealFaces", "measured", "real_faces"]

MIN_REAL = 4  # photographs of a person that must be left to be covered


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """What one setting gives.

    Attributes:
        by_person: measure -> (P,) values, whose mean is the figure. "intra_eir_..." where the
            people have photographs, "identity_similarity" where faces were generated.
        variances: group of attributes -> mean variance within a person.
        data_variances: the same over all pictures.
        bands: (B,) mean variance of frequencies within a person.
        taken_for_faces: share of the pictures in which the landmarker sees a face.
    """

    by_person: Mapping[str, NDArray[np.float64]]
    variances: Mapping[str, float]
    data_variances: Mapping[str, float]
    bands: NDArray[np.float64]
    taken_for_faces: float


@dataclass(frozen=True, slots=True, eq=False)
class RealFaces:
    """Photographs of P people.

    Attributes:
        covered: those that generated pictures should cover, equally many of each.
        stand_in: others, as many as are generated, which tell what could be reached; None where
            there are too few.
    """

    covered: list[Faces]
    stand_in: list[Faces] | None


def real_faces(people: Sequence[Faces], images: int) -> RealFaces:
    """Part the photographs of each person.

    Args:
        people: their photographs.
        images: that are generated of each.
    """
    fewest = min(len(faces) for faces in people)
    if fewest < images + MIN_REAL:
        return RealFaces([part_of(faces, slice(fewest)) for faces in people], None)
    return RealFaces(
        [part_of(faces, slice(images, fewest)) for faces in people],
        [part_of(faces, slice(images)) for faces in people],
    )


def measured(
    people: Sequence[Faces],
    covered: Sequence[Faces],
    spaces: Mapping[str, FeatureSpace],
    *,
    are_the_same: bool,
) -> Figures:
    """Measure pictures.

    Args:
        people: M pictures of each of P.
        covered: photographs, of people in the same order or of others.
        spaces: feature spaces by name.
        are_the_same: whether photographs and pictures are of the same people, so that eIR can be
            measured within each.
    """
    everything = all_faces(people)
    by_person = {
        "intra_similarity": np.array([intra_class_similarity(f.embeddings) for f in people]),
        "inter_similarity": inter_class_similarities([f.embeddings for f in people]),
    }
    to_identity = np.array([f.similarities.mean() for f in people], np.float64)
    if not np.isnan(to_identity).any():
        by_person["identity_similarity"] = to_identity
    for name, space in spaces.items():
        real, made = [space(f) for f in covered], [space(f) for f in people]
        if are_the_same:
            shares = [are_covered(*pair).mean() for pair in zip(real, made, strict=True)]
            by_person[f"intra_eir_{name}"] = np.array(shares)
        together = np.concatenate(made)
        by_person[f"data_eir_{name}"] = np.array([are_covered(r, together).mean() for r in real])
    within = [attribute_variances(f.codes) for f in people]
    return Figures(
        by_person=by_person,
        variances={name: float(np.mean([own[name] for own in within])) for name in within[0]},
        data_variances=attribute_variances(everything.codes),
        bands=np.mean([frequency_variances(f.images_rgb) for f in people], axis=0),
        taken_for_faces=float((everything.face_scores >= 0.5).mean()),
    )
