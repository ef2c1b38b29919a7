# SPDX-License-Identifier: Apache-2.0
"""Maximum mean discrepancy: how far apart two domains lie in a layer's features.

Paper    of the domain adaptation network: equations 1 to 3, and section IV-B for the kernel
         k(x, y) = exp(-|x - y|^2 / gamma) and its widths gamma_m * {1, 2, 4, 8, 16}.
         Estimators: Gretton et al. 2012, *A Kernel Two-Sample Test*, equations 3 and 5.
Ours     three things that the paper leaves open. Its kernels count alike, beta_i = 1 / m in
         equation 3. gamma_m is the median of squared distances, for gamma divides one: only so do
         features that are all c times larger have the same discrepancy. And pairs are drawn from
         both domains together, each once, none of a point with itself.
Letters  M features of the source, N of the target, D their length; x^S and x^T; k the kernel.

The estimator of equation 2 is the biased one, and recipes take it unless told otherwise: it is the
paper's, it is never below zero, and zero only where the two samples agree. In a batch of 32 it
exceeds the true discrepancy by about (1 - E k) / M + (1 - E k) / N, which also pulls the features
of a domain together; the unbiased one has no such pull, but scatters around zero and falls below
it. Figures in a report should be unbiased. The linear-time estimator of Gretton et al. is not here:
the paper does not use it, and batches of 32 need no linear time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch

__all__ = [
    "FIVE_KERNELS",
    "ONE_KERNEL",
    "Estimator",
    "kernel_widths",
    "median_gamma",
    "squared_mmd",
]

Estimator = Literal["biased", "unbiased"]
ESTIMATORS: tuple[Estimator, ...] = ("biased", "unbiased")
ONE_KERNEL = (1.0,)
FIVE_KERNELS = (1.0, 2.0, 4.0, 8.0, 16.0)
# Where points coincide the median is zero; no two features that differ at all are so close.
_SMALLEST_GAMMA = 1e-12


@torch.no_grad()
def median_gamma(source: torch.Tensor, target: torch.Tensor) -> float:
    """Give gamma_m: the median squared distance of two points, of whichever domains.

    Meant for a few hundred features of each domain of the training data, before training; there are
    (M + N)^2 / 2 pairs.

    Args:
        source: (M, D) features.
        target: (N, D) features.

    Returns:
        1e-12 or more; of an even number of pairs the mean of the middle two.

    Raises:
        ValueError: shapes do not fit, there are fewer than two points, or a value is not finite.
    """
    _require_pair(source, target, fewest=1)
    distances = torch.pdist(torch.cat([source, target]).double())
    if not bool(torch.isfinite(distances).all()):
        raise ValueError("features have NaN or infinite values; expected finite ones.")
    ordered = distances.square().sort().values
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return max(float(middle), _SMALLEST_GAMMA)


def kernel_widths(gamma_m: float, multipliers: Sequence[float] = FIVE_KERNELS) -> tuple[float, ...]:
    """Give the gammas of the kernels: `FIVE_KERNELS` or `ONE_KERNEL` times gamma_m.

    Raises:
        ValueError: there are none, or one is not a finite number above zero.
    """
    widths = tuple(gamma_m * multiplier for multiplier in multipliers)
    _require_widths(widths)
    return widths


def squared_mmd(
    source: torch.Tensor,
    target: torch.Tensor,
    gammas: Sequence[float],
    estimator: Estimator = "biased",
) -> torch.Tensor:
    """Estimate MMD^2 from two batches of features; differentiable in both.

    Args:
        source: (M, D) features; M >= 1, for the unbiased estimator 2.
        target: (N, D) features, likewise.
        gammas: widths of the kernels, by `kernel_widths`; the kernel is the mean of theirs.
        estimator: "biased", all pairs of equation 2, zero or more up to rounding; or "unbiased",
            without those of a point with itself, and on average the true MMD^2.

    Returns:
        () in about 0..2, or slightly below zero if unbiased.

    Raises:
        ValueError: shapes do not fit, a gamma is not a finite number above zero, or the estimator
            is unknown.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator is {estimator!r}; expected one of {', '.join(ESTIMATORS)}.")
    _require_pair(source, target, fewest=1 if estimator == "biased" else 2)
    _require_widths(gammas)
    within = (_mean_of_pairs(_kernel(x, x, gammas), estimator) for x in (source, target))
    across = _kernel(source, target, gammas).mean()
    return sum(within, start=-2 * across)


def _kernel(x: torch.Tensor, y: torch.Tensor, gammas: Sequence[float]) -> torch.Tensor:
    """(M, N) mean of the Gaussian kernels of each pair."""
    # Differences, not |x|^2 + |y|^2 - 2 xy: coinciding points are at zero exactly.
    squared = (x[:, None] - y[None]).square().sum(dim=2)
    return torch.stack([torch.exp(-squared / gamma) for gamma in gammas]).mean(dim=0)


def _mean_of_pairs(kernel: torch.Tensor, estimator: Estimator) -> torch.Tensor:
    count = len(kernel)
    if estimator == "biased":
        return kernel.mean()
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def _require_pair(source: torch.Tensor, target: torch.Tensor, fewest: int) -> None:
    shapes = tuple(source.shape), tuple(target.shape)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"source is {shapes[0]} and target {shapes[1]}; expected (M, D) and (N, D)."
        )
    if min(len(source), len(target)) < fewest:
        raise ValueError(
            f"source has {len(source)} features and target {len(target)}; "
            f"expected {fewest} or more of each."
        )


def _require_widths(gammas: Sequence[float]) -> None:
    if not gammas or not all(math.isfinite(gamma) and gamma > 0 for gamma in gammas):
        raise ValueError(
            f"widths of the kernels are {tuple(gammas)}; expected finite numbers above zero."
        )
