# SPDX-License-Identifier: Apache-2.0
"""Who a number is: head, skin, eyes and hair of one synthetic person, always the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.head.anny_source import ADULT_AGE
from mien_starter.skin.complexions import draw_complexion
from mien_starter.skin.paint import Complexion
from mien_starter.world.assets import Assets
from mien_starter.world.hair import Haircut, draw_haircut

Array = npt.NDArray[Any]

# Shape coefficients have unit variance; farther out heads get odd.
MOST_DEVIATIONS = 2.3


@dataclass(frozen=True, eq=False)
class Person:
    """One identity.

    Attributes:
        number: of the identity.
        gender: 0 female, 1 male.
        age: anny's scale, 0.6 a young adult, 1 old.
        ancestry: (3,) shares of african, asian, caucasian.
        shape: (300,) coefficients of the head.
        texture: (50,) coefficients of the albedo space.
        complexion: what the texture was painted from.
        haircut: what grows on the head.
    """

    number: int
    gender: float
    age: float
    ancestry: Array
    shape: npt.NDArray[np.float32]
    texture: npt.NDArray[np.float32]
    complexion: Complexion
    haircut: Haircut


def draw_person(number: int, assets: Assets) -> Person:
    """The person of a number.

    Args:
        number: 0 or more.
        assets: head and albedo space.
    """
    rng = np.random.default_rng([number, 2001])
    gender = float(rng.random() < 0.5)
    age = float(rng.uniform(*ADULT_AGE))
    ancestry = rng.dirichlet([0.45] * 3)
    row = np.array([1.0, gender, age, ancestry[0], ancestry[1]])
    free = np.clip(rng.normal(size=300), -MOST_DEVIATIONS, MOST_DEVIATIONS)
    shape = assets.shape_from_attributes @ row + assets.shape_residual_std * free
    complexion = draw_complexion(gender, age, ancestry, rng)
    texture = assets.texture_code(complexion)
    haircut = draw_haircut(gender, age, ancestry, complexion.hair, rng)
    return Person(
        number,
        gender,
        age,
        ancestry,
        shape.astype(np.float32),
        texture.astype(np.float32),
        complexion,
        haircut,
    )


def with_other_haircut(person: Person, rng: np.random.Generator) -> Person:
    """The same person after a visit to a barber; hair keeps its colour."""
    haircut = draw_haircut(person.gender, person.age, person.ancestry, person.complexion.hair, rng)
    return replace(person, haircut=haircut)
