# SPDX-License-Identifier: Apache-2.0
"""Many hairs from the strands of a grid: each is shaped like the strands around its root.

Letters  S hairs, P points of each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_server.hair.strands import GRID
from mien_starter.hair.scalp import Scalp

__all__ = ["dense_hairs"]

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_ALIKE = 0.35  # how far directions may differ, radians, before strands are no longer mixed
_LENGTHS = 0.5  # likewise the logarithms of their lengths
_STRAIGHT_TURN, _CURLY_TURN = 0.08, 0.23  # radians from one point to the next
_CLUMPING = (0.2, 0.8)  # of straight and of curly hair


def dense_hairs(
    grid: npt.ArrayLike,
    scalp: Scalp,
    count: int,
    seed: int = 0,
    *,
    clumping: float | None = None,
) -> Floats:
    """Fill the scalp with hair.

    A hair is rooted anywhere between four cells and takes its shape from their strands, the more
    the nearer they are; of strands that part ways it follows the nearest one alone.

    Args:
        grid: (32, 32, P, 4) strands, an empty cell all zeros.
        scalp: where they are rooted.
        count: about how many the whole square has; cells without hair have none.
        seed: of the places.
        clumping: 0 for shapes that change evenly, up to 1 for hair that follows the nearest
            strand, as curls do; by default read off the strands.

    Returns:
        (S, P, 3) float32, root first; S is at most `count`.
    """
    strands = np.asarray(grid, np.float32)[..., :3].reshape(GRID * GRID, -1, 3)
    filled = strands.any(axis=(1, 2))
    if clumping is None:
        clumping = _clumping(strands[filled])
    corners, weights = _neighbours(scalp, count, seed)
    kept = (weights * filled[corners]).sum(axis=1) > 0.5
    corners, weights = corners[kept], weights[kept]
    roots = (scalp.roots.reshape(-1, 3)[corners] * weights[..., None]).sum(axis=1)
    mixed = _mixed(strands, corners, weights * filled[corners], 1 + 5 * clumping)
    shapes = strands - strands[:, :1]
    hairs = np.repeat(roots[:, None].astype(np.float32), strands.shape[1], axis=1)
    for corner in range(4):
        hairs += mixed[:, corner, None, None] * shapes[corners[:, corner]]
    return hairs


def _mixed(strands: Floats, corners: npt.NDArray[np.int64], weights: Array, power: float) -> Floats:
    """(S, 4) shares of the strands in each hair."""
    steps = np.diff(strands, axis=1)
    toward = strands[:, -1] + strands[:, strands.shape[1] // 3] - 2 * strands[:, 0]
    toward = toward / np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-9)
    length = np.log(np.linalg.norm(steps, axis=2).sum(axis=1) + 1e-6)
    shares = weights**power
    nearest = np.take_along_axis(corners, shares.argmax(axis=1)[:, None], axis=1)
    apart = 1 - (toward[corners] * toward[nearest]).sum(axis=2)
    uneven = (length[corners] - length[nearest]) / _LENGTHS
    shares = shares * np.exp(-2 * apart / _ALIKE**2 - uneven**2)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _clumping(strands: Floats) -> float:
    if not len(strands):
        return _CLUMPING[0]
    steps = np.diff(strands, axis=1)
    steps /= np.maximum(np.linalg.norm(steps, axis=2, keepdims=True), 1e-12)
    turn = np.arccos(np.clip((steps[:, 1:] * steps[:, :-1]).sum(axis=2), -1, 1)).mean()
    return float(np.interp(turn, (_STRAIGHT_TURN, _CURLY_TURN), _CLUMPING))


def _neighbours(scalp: Scalp, count: int, seed: int) -> tuple[npt.NDArray[np.int64], Array]:
    """Four cells around each of about `count` places, and how near they are.

    Places are spread evenly over the scalp: parts of the square that cover more of it have more.
    """
    rng = np.random.default_rng(seed)
    areas = _areas(scalp)
    side = int(np.ceil(np.sqrt(count * areas.max() / areas.mean())))
    steps = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    places = (steps + rng.uniform(0, 1, steps.shape)) / side * (GRID - 1)
    base = np.minimum(places.astype(np.int64), GRID - 2)
    chosen = rng.uniform(0, areas.max(), len(base)) < areas[base[:, 1], base[:, 0]]
    chosen[chosen] = rng.permutation(chosen.sum()) < count
    base, (x, y) = base[chosen], (places - base)[chosen].T
    first = base[:, 1] * GRID + base[:, 0]
    corners = np.stack([first, first + 1, first + GRID, first + GRID + 1], axis=1)
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)
    return corners, weights


def _areas(scalp: Scalp) -> Array:
    """(31, 31) square metres between four roots each."""
    across, down = np.diff(scalp.roots, axis=1), np.diff(scalp.roots, axis=0)
    return np.asarray(np.linalg.norm(np.cross(across[:-1], down[:, :-1]), axis=-1))
