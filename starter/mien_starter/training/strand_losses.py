# SPDX-License-Identifier: Apache-2.0
"""How far the strands that a hair VAE gives are from those that are there.

Paper    Zhou et al. 2018, *HairNet*, section 4.2: positions and curvature, what is seen in the map
         weighted with 10 and the rest with 0.1. Here the rest has 1: two thirds of the loss are
         still about what is seen, and what is behind is learnt too, which an avatar shows as it
         turns. Directions, there being a strand at all, and the latent's KL (Kingma and Welling
         2014, appendix B) are added.
Letters  B batch, K steps of a strand; the grid is 32 x 32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.hair_vae_decoder import Decoded
from mien_starter.training.recipe import Tensors

__all__ = ["HIDDEN_WEIGHT", "SEEN_WEIGHT", "StrandTruth", "StrandWeights", "strand_losses"]

SEEN_WEIGHT, HIDDEN_WEIGHT = 10.0, 1.0
_SHORTEST_M = 1e-6


@dataclass(frozen=True)
class StrandWeights:
    """What each part of the loss counts.

    Attributes:
        position: of an error as large as `position_unit_m`.
        direction: of a right angle.
        curliness: of an error as large as `curliness_unit`.
        growth: of a nat.
        kl: of a nat per number of the latent.
        position_unit_m: about what the mean style is off.
        curliness_unit: likewise.
        seen: weight of points that the map shows.
        hidden: of the others.
    """

    position: float = 1.0
    direction: float = 1.0
    curliness: float = 0.1
    growth: float = 0.5
    kl: float = 1e-3
    position_unit_m: float = 0.05
    curliness_unit: float = 0.0005
    seen: float = SEEN_WEIGHT
    hidden: float = HIDDEN_WEIGHT


@dataclass(frozen=True, eq=False)
class StrandTruth:
    """What is there.

    Attributes:
        steps: (B, 4, K, 32, 32) as `Decoded` has them; anything where there is no strand.
        grows: (B, 32, 32) bool.
        seen: (B, K, 32, 32) bool, whether the map shows the end of a step.
    """

    steps: torch.Tensor
    grows: torch.Tensor
    seen: torch.Tensor


def strand_losses(
    decoded: Decoded,
    mean: torch.Tensor,
    log_variance: torch.Tensor,
    truth: StrandTruth,
    weights: StrandWeights,
) -> Tensors:
    """The loss, its parts, and what a person reads.

    Args:
        decoded: what the network says.
        mean: (B, latent).
        log_variance: (B, latent).
        truth: what is there.
        weights: of the parts.

    Returns:
        "loss"; "position" (L1 of places relative to the root, in units), "direction" (one minus the
        cosine), "curliness" (L1, in units), each a weighted mean over the points of strands that
        are there; "growth", "kl"; "position_mm" and "direction_deg", plain means over all points.
    """
    found, wanted = decoded.steps.float(), truth.steps.float()
    there = truth.grows[:, None].float()
    point = there * torch.where(truth.seen, weights.seen, weights.hidden)
    point = point / point.sum().clamp_min(_SHORTEST_M)
    every = there.expand_as(point) / (there.sum() * point.shape[1]).clamp_min(1)
    off = (found[:, :3] - wanted[:, :3]).cumsum(dim=2)
    cosine = _cosine(found[:, :3], wanted[:, :3])
    parts = {
        "position": (point * off.abs().sum(dim=1)).sum() / weights.position_unit_m,
        "direction": (point * (1 - cosine)).sum(),
        "curliness": (point * (found[:, 3].clamp_min(0) - wanted[:, 3]).abs()).sum()
        / weights.curliness_unit,
        "growth": nn.functional.binary_cross_entropy_with_logits(
            decoded.grows.float(), truth.grows.float()
        ),
        "kl": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(),
    }
    loss = sum(getattr(weights, name) * value for name, value in parts.items())
    with torch.no_grad():
        position_mm = 1000 * (every * _length(off)).sum()
        angle = torch.rad2deg(cosine.clamp(-1, 1).arccos())
        direction_deg = (every * angle).sum()
    assert isinstance(loss, torch.Tensor)
    return {"loss": loss, **parts, "position_mm": position_mm, "direction_deg": direction_deg}


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(dim=1) / (_length(a) * _length(b))


def _length(vectors: torch.Tensor) -> torch.Tensor:
    # Three components far apart in memory: torch's own norm takes ten times as long.
    return (vectors.square().sum(dim=1) + _SHORTEST_M**2).sqrt()
