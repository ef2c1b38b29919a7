# SPDX-License-Identifier: Apache-2.0
"""Simple hair: a shell over the scalp with a soft hairline, and a curtain for what hangs down.

Good enough for recognition and landmarks; strands are another matter.

Frame  the mean head's, metres; shells follow the vertices they grow from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Haircut:
    """One way to wear hair.

    Attributes:
        name: of the cut.
        colour: (3,) RGB 0..1.
        thickness_m: of the shell on the crown.
        hairline_m: how far the hairline is raised (recedes) above the usual one; negative: fringe.
        temples_m: how far it recedes at the temples.
        length_m: of the curtain below the ears; 0 for none.
        wave: strength of curls and waves, 0..1.
        density: 0..1; below 1 skin shines through.
        seed: of its irregularities.
    """

    name: str
    colour: tuple[float, float, float]
    thickness_m: float
    hairline_m: float
    temples_m: float
    length_m: float
    wave: float
    density: float
    seed: int


_CUTS: dict[str, tuple[dict[str, tuple[float, float]], tuple[float, float]]] = {
    # name: ranges, (share of women, share of men)
    "bald": ({"thickness_m": (0, 0)}, (0.01, 0.10)),
    "buzz": ({"thickness_m": (0.001, 0.003), "density": (0.55, 0.85)}, (0.03, 0.22)),
    "short": ({"thickness_m": (0.008, 0.018)}, (0.12, 0.38)),
    "full": ({"thickness_m": (0.016, 0.030), "wave": (0.3, 1.0)}, (0.12, 0.14)),
    "fringe": (
        {"thickness_m": (0.010, 0.018), "hairline_m": (-0.046, -0.026), "length_m": (0.0, 0.12)},
        (0.16, 0.05),
    ),
    "bob": ({"thickness_m": (0.010, 0.020), "length_m": (0.05, 0.09)}, (0.20, 0.03)),
    "long": ({"thickness_m": (0.008, 0.018), "length_m": (0.14, 0.26)}, (0.30, 0.04)),
    "tied": ({"thickness_m": (0.004, 0.008), "hairline_m": (0.0, 0.006)}, (0.06, 0.04)),
}


def draw_haircut(
    gender: float,
    age: float,
    ancestry: Array,
    colour: tuple[float, float, float],
    rng: np.random.Generator,
) -> Haircut:
    """A haircut that goes with the person, loosely."""
    shares = np.array([by_sex[int(gender > 0.5)] for _, by_sex in _CUTS.values()])
    name = list(_CUTS)[int(rng.choice(len(_CUTS), p=shares / shares.sum()))]
    ranges = _CUTS[name][0]

    def drawn(key: str, low: float, high: float) -> float:
        return float(rng.uniform(*ranges.get(key, (low, high))))

    recedes = gender > 0.5 and rng.random() < 0.2 + 0.6 * max(age - 0.75, 0) / 0.2
    curly = float(ancestry[0]) > 0.5
    return Haircut(
        name=name,
        colour=colour,
        thickness_m=drawn("thickness_m", 0.008, 0.02),
        hairline_m=drawn("hairline_m", -0.008, 0.008) + (rng.uniform(0.004, 0.02) * recedes),
        temples_m=float(rng.uniform(0.004, 0.02)) if recedes else float(rng.uniform(-0.003, 0.003)),
        length_m=drawn("length_m", 0.0, 0.0),
        wave=max(drawn("wave", 0.0, 0.5), 0.8 if curly else 0.0),
        density=drawn("density", 0.95, 1.0),
        seed=int(rng.integers(2**31)),
    )


def hair_cover(cut: Haircut, position: Array, fibre: Array) -> Array:
    """How much of the skin hair covers, 0..1, at points of the mean head.

    Args:
        cut: the haircut.
        position: (..., 3) metres.
        fibre: (...,) noise of about unit variance that makes the hairline uneven.
    """
    x, y, z = np.moveaxis(position, -1, 0)
    if cut.name == "bald":
        return np.zeros_like(x)
    side = np.abs(x)
    # Over the forehead the line is high, it falls at the temples and passes behind the ears.
    line = 0.083 - 6.0 * side**2 + cut.hairline_m
    line = line + cut.temples_m * np.exp(-0.5 * ((side - 0.042) / 0.012) ** 2)
    line = line - 0.050 * _ramp(side, 0.050, 0.068) * (z < 0.05)
    behind = _ramp(z, -0.012, 0.002)
    nape = -0.062
    lowest = nape + (line - nape) * behind
    # Sideburns in front of the ears.
    burn = (side > 0.060) & (z > -0.004) & (z < 0.012)
    lowest = np.where(burn, np.minimum(lowest, -0.012), lowest)
    softness = 0.0035 if cut.thickness_m > 0.004 else 0.006
    cover = _ramp(y - lowest + 0.0022 * fibre, -softness, softness)
    on_ear = (side > 0.0765) & (y < 0.032) & (z > -0.05) & (z < 0.02)
    # The hollow of the ear lies as deep as the skull beside it.
    in_ear = (side > 0.064) & (y > -0.023) & (y < 0.0) & (z > -0.021) & (z < 0.001)
    return np.where(on_ear | in_ear, 0.0, cover) * cut.density


def shell_offsets(cut: Haircut, position: Array, wave: Array) -> Array:
    """(V,) metres that each vertex of the shell stands off the skin.

    Args:
        cut: the haircut.
        position: (V, 3) vertices of the mean head.
        wave: (V,) smooth noise of about unit variance.
    """
    if cut.name == "bald":
        return np.zeros(len(position))
    cover = hair_cover(cut, position, np.zeros(len(position)))
    y = position[:, 1]
    crown = 0.55 + 0.45 * _ramp(y, 0.03, 0.10)
    # Little at the nape and the sideburns, or heads look helmeted.
    trimmed = 0.35 + 0.65 * _ramp(y, -0.05, 0.04)
    bumps = 1.0 + 0.28 * cut.wave * wave
    return np.asarray(cut.thickness_m * crown * trimmed * bumps * cover + 0.0006 * (cover > 0.02))


def curtain(cut: Haircut) -> tuple[Array, Array, Array]:
    """What hangs down: a surface around the back and the sides of the head.

    Args:
        cut: with a length above 0.

    Returns:
        (N, 3) vertices in the frame of the mean head, (M, 3) triangles, (N, 2) texture coordinates.
    """
    rng = np.random.default_rng(cut.seed)
    columns, rows = 49, 13
    turn = np.deg2rad(np.linspace(-128, 128, columns))  # 0 is the back of the head
    down = np.linspace(0.0, 1.0, rows)
    radius_x = 0.080 + cut.thickness_m * 0.8
    radius_z = 0.090 + cut.thickness_m * 0.8
    phase = rng.uniform(0, 2 * np.pi, 4)
    strength = 0.002 + 0.004 * cut.wave
    a, t = np.meshgrid(turn, down)
    ripple = sum(
        np.sin(k * a + phase[i] + 5 * cut.wave * t * (i + 1)) for i, k in enumerate((9, 17, 31, 45))
    )
    top = 0.054 + 0.012 * np.cos(a)
    end = cut.length_m * (0.94 + 0.06 * np.sin(7 * a + phase[0]))
    down_m = t * (top + 0.035 + end)
    bulge = 1.0 + 0.10 * np.sin(np.pi * np.clip(t * 1.1, 0, 1)) - 0.10 * t
    # It starts inside the shell, or one looks into it from above; ears stay below it.
    bulge = bulge - 0.16 * (1 - _ramp(down_m, 0.0, 0.02))
    x = (radius_x * bulge + strength * ripple) * np.sin(a)
    z = -0.010 - (radius_z * bulge + strength * ripple) * np.cos(a)
    y = top - down_m
    # Ends draw in to the neck and come forward over the shoulders.
    x = x * (1 - 0.10 * t * (np.abs(a) < 1.2))
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    p, q = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    r, s = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    faces = np.concatenate([np.stack([p, q, s], axis=1), np.stack([p, s, r], axis=1)])
    uv = np.stack([a / (2 * np.pi) + 0.5, 1 - t], axis=-1).reshape(-1, 2)
    return vertices, faces.astype(np.int32), uv


def _ramp(values: Array, start: float, end: float) -> Array:
    t = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
