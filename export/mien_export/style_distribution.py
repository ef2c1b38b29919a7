# SPDX-License-Identifier: Apache-2.0
"""How faces are photographed, as a normal distribution of DECA's codes, read from a file.

Paper    MorphFace (arXiv 2504.00430), section B.3: N(mu, Sigma) from the mean and the variance of
         every code over training photographs and the correlations of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien_export.errors import CheckpointError
from mien_export.head_files import read_archive

NUM_CODES = 236
_SHAPES = {"mean": (NUM_CODES,), "factor": (NUM_CODES, NUM_CODES)}


@dataclass(frozen=True)
class StyleDistribution:
    """A normal distribution of codes.

    Attributes:
        mean: (236,) float32 in DECA's order.
        factor: (236, 236) float32; times its own transpose it is Sigma.

    Raises:
        CheckpointError: another shape, or values that are not finite.
    """

    mean: npt.NDArray[np.float32]
    factor: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, shape in _SHAPES.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise CheckpointError(
                    f"{name} has shape {array.shape}; expected {shape} finite numbers."
                )


def read_style_distribution(path: Path) -> StyleDistribution:
    """Read the arrays ``mean`` and ``factor`` of an ``.npz`` file.

    Raises:
        CheckpointError: the file is missing or damaged, an array is missing or misshapen.
    """
    arrays = read_archive(path)
    missing = sorted(_SHAPES.keys() - arrays.keys())
    if missing:
        raise CheckpointError(
            f"{path.name} lacks {' and '.join(missing)}; expected the arrays mean and factor of a "
            "style distribution."
        )
    try:
        return StyleDistribution(*(arrays[name].astype(np.float32) for name in _SHAPES))
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{path.name}: {error}") from error
