# SPDX-License-Identifier: Apache-2.0
"""How faces are photographed: the normal distribution of the codes that were fitted to them.

Paper    MorphFace (arXiv 2504.00430), supplement section B.3: N(mu, Sigma) from the mean and the
         variance of every code and the correlations of all.
Letters  N photographs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import CODE_PARTS
from mien_starter.errors import StarterError

__all__ = ["FILE", "StyleStatistics", "style_statistics", "write_report", "write_statistics"]

FILE = "style_distribution.npz"
# Added to the variance of every correlated code, so that rounding leaves the matrix positive.
_RIDGE = 1e-6
_SMALLEST_DEVIATION = 1e-9  # of a code that never changes, which correlates with nothing


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """A normal distribution of codes.

    Attributes:
        mean: (236,) float64.
        factor: (236, 236) float64, lower triangular; times its own transpose it is Sigma.
    """

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """(236,) of each code."""
        deviation: NDArray[np.float64] = np.linalg.norm(self.factor, axis=1)
        return deviation


def style_statistics(codes: NDArray[np.float32]) -> StyleStatistics:
    """Measure (N, 236) codes.

    Raises:
        StarterError: there are no more photographs than codes, so that styles would be missing.
    """
    if len(codes) <= codes.shape[1]:
        raise StarterError(
            f"{len(codes)} photographs cannot say how {codes.shape[1]} codes go together; give "
            "features of more of them."
        )
    values = codes.astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    standard = (values - mean) / np.maximum(deviation, _SMALLEST_DEVIATION)
    correlation = standard.T @ standard / len(codes)
    correlation += _RIDGE * np.eye(len(mean))
    still = np.flatnonzero(deviation <= _SMALLEST_DEVIATION)
    correlation[still, still] = 1.0
    return StyleStatistics(mean, deviation[:, None] * np.linalg.cholesky(correlation))


def write_statistics(statistics: StyleStatistics, path: Path) -> None:
    """Write what `mien_export.style_distribution.read_style_distribution` takes."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez_compressed(
            file,
            mean=statistics.mean.astype(np.float32),
            factor=statistics.factor.astype(np.float32),
        )
    os.replace(unfinished, path)


def write_report(statistics: StyleStatistics, photographs: int, origin: str, path: Path) -> None:
    """Write, beside the file, what each part of the codes ranges over.

    Args:
        statistics: of the codes.
        photographs: N.
        origin: the split and the networks, in a few words.
        path: ends in ``.md``.
    """
    covariance = statistics.factor @ statistics.factor.T
    rows = []
    for part, place in CODE_PARTS.items():
        mean, deviation = statistics.mean[place], statistics.deviation[place]
        scale = np.maximum(np.outer(deviation, deviation), _SMALLEST_DEVIATION)
        correlation = np.abs(covariance[place, place] / scale)[~np.eye(len(mean), dtype=bool)]
        rows.append(
            f"| {part} | {len(mean)} | {mean.min():.3g} to {mean.max():.3g} | "
            f"{deviation.min():.3g} to {deviation.max():.3g} | {correlation.max():.2f} |"
        )
    lines = [
        "# style_distribution",
        "",
        f"Mean and covariance of the 236 codes that {origin} fitted to {photographs:,} photographs "
        "of synthetic people; no photograph of a real person was used. Cameras are those of DECA's "
        "crop.",
        "",
        "| part | codes | means | deviations | largest correlation within |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "Made with `python -m mien_starter styles`. Apache-2.0, as the rest of the repository.",
    ]
    path.write_text("\n".join(lines) + "\n")
