# SPDX-License-Identifier: Apache-2.0
"""How faces are photographed, as a normal distribution of DECA's codes.

Paper    MorphFace (arXiv 2504.00430), section B.3: N(mu, Sigma) from the mean and the variance of
         every code over training photographs and the correlations of all; section D.1: the shape of
         what is sampled is replaced by that of the person.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import CODE_COUNT, CODE_PARTS
from mien_server.diffusion.noise import gaussian_noise

__all__ = ["StyleDistribution"]

# Of a sampled scale: a camera turned inside out shows nothing.
_CAMERA_SCALE = CODE_PARTS["camera"].start
_SMALLEST_SCALE_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class StyleDistribution:
    """A normal distribution of codes.

    Attributes:
        mean: (236,) float64 in DECA's order.
        factor: (236, 236) float64; times its own transpose it is Sigma.

    Raises:
        ValueError: another shape, or values that are not finite.
    """

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, shape in (("mean", (CODE_COUNT,)), ("factor", (CODE_COUNT, CODE_COUNT))):
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} has shape {array.shape}; expected {shape} finite numbers")

    @classmethod
    def read(cls, path: Path) -> StyleDistribution:
        """Read the arrays "mean" and "factor" of an ``.npz`` file.

        Raises:
            ValueError: an array is missing or misshapen.
        """
        with np.load(path, allow_pickle=False) as arrays:
            missing = {"mean", "factor"} - set(arrays.files)
            if missing:
                raise ValueError(f"{path.name} lacks {' and '.join(sorted(missing))}")
            return cls(arrays["mean"].astype(np.float64), arrays["factor"].astype(np.float64))

    def sample(self, seed: int, number: int) -> NDArray[np.float32]:
        """One style.

        Args:
            seed: 0 to 2^64 - 1.
            number: which of the seed's styles, 0 or more.

        Returns:
            (236,) codes; the camera's scale is kept at half its mean or more.

        Raises:
            ValueError: seed or number out of range.
        """
        noise = gaussian_noise(seed, number, (CODE_COUNT,)).astype(np.float64)
        codes = self.mean + self.factor @ noise
        smallest = _SMALLEST_SCALE_SHARE * self.mean[_CAMERA_SCALE]
        codes[_CAMERA_SCALE] = max(codes[_CAMERA_SCALE], smallest)
        return np.asarray(codes, np.float32)
