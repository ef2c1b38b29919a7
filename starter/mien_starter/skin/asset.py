# SPDX-License-Identifier: Apache-2.0
"""The albedo space: principal components of painted textures, in FLAME's texture-space schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.head.anny_source import ADULT_AGE
from mien_starter.skin.complexions import draw_complexion
from mien_starter.skin.paint import Painter

Array = npt.NDArray[Any]

SIDE = 256  # of the texture
COMPONENTS = 50
SAMPLES = 1500
# Stored values are multiples of this: far below what 8 bits a channel show, and smaller files.
STEP = 1 / 2048


def painted(painter: Painter, count: int, seed: int) -> npt.NDArray[np.float32]:
    """(count, S, S, 3) textures of people drawn at random."""
    rng = np.random.default_rng(seed)
    textures = []
    for _ in range(count):
        gender = float(rng.random() < 0.5)
        ancestry = rng.dirichlet([0.45] * 3)
        age = float(rng.uniform(*ADULT_AGE))
        textures.append(painter.paint(draw_complexion(gender, age, ancestry, rng)))
    return np.stack(textures)


def albedo_space(textures: Array, weight: Array) -> dict[str, Array]:
    """Mean and components, scaled to unit variance of the coefficients.

    Args:
        textures: (N, S, S, 3) in 0..1.
        weight: (S, S) how much a texel counts: the area it covers on the head.

    Returns:
        `mean` (S, S, 3), `tex_dir` (S, S, 3, 50), `texture_std` (50,), `kept` share of variance.

    Raises:
        ValueError: there are too few textures.
    """
    if len(textures) <= COMPONENTS:
        raise ValueError(
            f"there are {len(textures)} textures; {COMPONENTS} components need more than "
            f"{COMPONENTS}, usually {SAMPLES}"
        )
    mean = textures.mean(axis=0)
    root = np.sqrt(weight / weight.sum()).astype(np.float32)[None, ..., None]
    flat = ((textures - mean) * root).reshape(len(textures), -1)
    gram = (flat @ flat.T / (len(flat) - 1)).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    values = values.clip(0)
    order = np.argsort(values)[::-1][:COMPONENTS]
    # Components of the unweighted textures that the same mixtures of people give.
    mixture = vectors[:, order] / np.sqrt(len(flat) - 1)
    directions = np.tensordot(mixture.T, textures - mean, axes=1)
    return {
        "mean": _rounded(mean),
        "tex_dir": _rounded(np.moveaxis(directions, 0, -1)),
        "texture_std": np.sqrt(values[order]).astype(np.float32),
        "kept": np.array(values[order].sum() / values.sum()),
    }


def texel_weight(painter: Painter) -> Array:
    """(S, S) metres squared that each texel covers on the mean head; hidden ones count a little."""
    position = painter.texels.position.astype(np.float64)
    across = np.gradient(position, axis=1)
    down = np.gradient(position, axis=0)
    area = np.linalg.norm(np.cross(across, down), axis=-1)
    full = painter.texels.island >= 0
    # At the rim of an island the differences reach to nowhere.
    area = np.where(full, np.minimum(area, np.quantile(area[full], 0.95)), 0.0)
    face = full & (position[..., 2] > 0.01)
    eyes = painter.texels.of("eye_left") | painter.texels.of("eye_right")
    return np.asarray(area * np.where(face, 3.0, 1.0) * np.where(eyes, 2.0, 1.0))


class Projection:
    """Weighted least squares onto the components of an albedo space.

    Args:
        mean: (S, S, 3).
        directions: (S, S, 3, 50).
        weight: (S, S) how much a texel counts.
    """

    def __init__(self, mean: Array, directions: Array, weight: Array) -> None:
        self._mean = mean.astype(np.float32)
        self._root = np.sqrt(weight / weight.sum())[..., None]
        basis = directions.astype(np.float32) * self._root[..., None]
        flat = basis.reshape(-1, COMPONENTS).astype(np.float64)
        self._inverse = np.linalg.solve(flat.T @ flat, flat.T)

    def codes(self, texture: Array) -> Array:
        """(50,) coefficients of a texture (S, S, 3)."""
        return np.asarray(self._inverse @ ((texture - self._mean) * self._root).ravel())


def write_albedo(painter: Painter, path: Path, *, seed: int = 1, samples: int = SAMPLES) -> int:
    """Paint, distil and write `albedo.npz`.

    Args:
        painter: of the head that the texture is for.
        path: of the file.
        seed: the same seed gives the same bytes.
        samples: textures to paint.

    Returns:
        Its size in bytes.

    Raises:
        ValueError: too few samples.
    """
    weight = texel_weight(painter)
    space = albedo_space(painted(painter, samples, seed), weight)
    arrays = {
        **space,
        "weight": weight.astype(np.float32),
        "scale": np.array(1.0),
        "channel_order": np.array("rgb"),
        "origin": np.array("Painted by mien's own code on mien's head."),
        "licence": np.array("Apache-2.0"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


def _rounded(values: Array) -> npt.NDArray[np.float16]:
    return np.asarray(np.round(values / STEP) * STEP, np.float16)
