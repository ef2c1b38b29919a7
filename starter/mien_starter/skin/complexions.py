# SPDX-License-Identifier: Apache-2.0
"""Draws complexions that go with a person's sex, age and ancestry, loosely."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.skin.paint import BROW_SHAPES, HAIRS, IRISES, Complexion

Array = npt.NDArray[Any]

# Rows: african, asian, caucasian.
MELANIN = np.array([0.74, 0.34, 0.17])
MELANIN_SPREAD = np.array([0.13, 0.11, 0.10])
HAIR_SHARES = {
    "black": (0.86, 0.72, 0.10),
    "dark_brown": (0.12, 0.24, 0.26),
    "brown": (0.02, 0.03, 0.28),
    "light_brown": (0.0, 0.01, 0.16),
    "blond": (0.0, 0.0, 0.14),
    "red": (0.0, 0.0, 0.06),
}
IRIS_SHARES = {
    "dark": (0.70, 0.55, 0.05),
    "brown": (0.27, 0.40, 0.28),
    "hazel": (0.03, 0.04, 0.18),
    "green": (0.0, 0.0, 0.13),
    "blue": (0.0, 0.0, 0.26),
    "grey": (0.0, 0.01, 0.10),
}
# anny's age at which hair starts to turn grey, and at which it is grey.
GREYING, GREY = 0.78, 0.97


def draw_complexion(
    gender: float, age: float, ancestry: Array, rng: np.random.Generator
) -> Complexion:
    """One person's complexion.

    Args:
        gender: 0 female .. 1 male.
        age: anny's scale, 0.6 a young adult, 1 old.
        ancestry: (3,) shares of african, asian, caucasian.
        rng: of everything that the attributes leave open.
    """
    melanin = float(ancestry @ MELANIN + rng.normal() * (ancestry @ MELANIN_SPREAD))
    old = float(np.clip((age - 0.70) / 0.27, 0, 1))
    is_male = gender > 0.5
    hair = _hair(age, ancestry, rng)
    shaved = rng.random() < 0.45
    bearded = is_male and not shaved
    light = float(np.clip(1 - melanin / 0.45, 0, 1))
    shapes = np.array([0.35, 0.1, 0.5, 0.05]) if is_male else np.array([0.3, 0.4, 0.05, 0.25])
    return Complexion(
        melanin=float(np.clip(melanin, 0.0, 1.0)),
        redness=float(np.clip(rng.normal(0.0, 0.45), -1, 1)),
        yellowness=float(np.clip(rng.normal(0.5 * ancestry[1], 0.4), -1, 1)),
        lip_redness=float(rng.beta(2, 2) if is_male else rng.beta(3, 1.6)),
        brow_strength=float(rng.uniform(0.55, 0.95)),
        brow_shape=int(rng.choice(len(BROW_SHAPES), p=shapes)),
        beard=float(rng.beta(1.1, 1.4)) if bearded else (0.12 if is_male else 0.0),
        moustache=float(rng.beta(1.1, 1.4)) if bearded else (0.10 if is_male else 0.0),
        lash_strength=float(rng.uniform(0.3, 0.6) if is_male else rng.uniform(0.5, 1.0)),
        freckles=float(rng.beta(1.2, 2.5)) if rng.random() < 0.25 * light else 0.0,
        lines=float(np.clip(old * rng.uniform(0.4, 1.0), 0, 1)),
        circles=float(rng.beta(1.5, 3.0)),
        blush=float(rng.beta(1.5, 3.0)),
        mottle=tuple(float(v) for v in np.clip(rng.normal(0, 0.8, 4), -2, 2)),
        hair=hair,
        iris=IRISES[_choice(IRIS_SHARES, ancestry, rng)],
        tooth_shade=float(rng.beta(2, 3)),
    )


def _hair(age: float, ancestry: Array, rng: np.random.Generator) -> tuple[float, float, float]:
    """RGB 0..1: a natural colour, a little varied, and turned grey with age."""
    colour = np.array(HAIRS[_choice(HAIR_SHARES, ancestry, rng)])
    varied = np.clip(colour * rng.normal(1.0, 0.12) + rng.normal(0, 0.008, 3), 0.02, 0.95)
    turned = np.clip((age + rng.normal(0, 0.03) - GREYING) / (GREY - GREYING), 0, 1)
    red, green, blue = ((1 - turned) * varied + turned * np.array(HAIRS["grey"])).tolist()
    return red, green, blue


def _choice(
    shares: dict[str, tuple[float, float, float]], ancestry: Array, rng: np.random.Generator
) -> str:
    weights = np.array([np.dot(share, ancestry) for share in shares.values()])
    return list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]
