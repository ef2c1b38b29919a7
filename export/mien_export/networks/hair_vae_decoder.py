# SPDX-License-Identifier: Apache-2.0
"""The half of a hair VAE that makes hair: a latent to strands on the scalp's grid.

Letters  B batch, C channels, K steps of a strand, P its points (100); the grid is 32 x 32.
Frame    of the head: metres, y up, the face towards +z.

The network says how a strand goes on, not where it is: K steps, which are added up from a root
that is known. A straight strand has equal steps, and an untrained network gives the mean style. The
grid of roots, the mean style and deviations from it are buffers, and travel with the weights. Where
a step is longer than one point, a cubic spline puts the points between.

A cell without hair is a decision of the network, the sign of one logit per cell.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import nn

from mien_export.networks.hair_vae_config import STEP_CHANNELS, HairVaeConfig, ResidualBlock
from mien_export.networks.hair_vae_strands import SIDE, StrandsFromSteps

__all__ = ["Decoded", "HairVaeDecoder"]

_FIRST_SIDE = 4


class Decoded(NamedTuple):
    """What the decoder says of a grid.

    Attributes:
        steps: (B, 4, K, 32, 32) metres from one knot of a strand to the next, and curliness there.
        grows: (B, 32, 32) logits of there being a strand.
    """

    steps: torch.Tensor
    grows: torch.Tensor


class StepLayer(nn.Conv3d):
    """The last convolution: it begins near the mean style."""

    random_gain = 0.2


class GrowthLayer(nn.Conv2d):
    """A 1x1 convolution to logits of there being hair: on a scalp it is the rule."""

    random_gain = 0.5
    first_logit = 2.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, 1, H, W)."""
        return super().forward(x) + self.first_logit


class HairVaeDecoder(nn.Module):
    """A latent to what every cell of the grid grows.

    Buffers, all but `step_mean` stored flat, since only matrices lose precision in weights files:
    `roots` (32 * 32 * 3) metres, 0 where there is no scalp; `step_mean` (4, K, 32, 32), the mean
    style; `step_deviation` (4 * K).
    """

    def __init__(self, config: HairVaeConfig) -> None:
        super().__init__()
        first, *_, last = config.rises
        steps = config.steps
        self.first_width, self.strand_width, self.steps = first, config.strand_width, steps
        self.linear = nn.Linear(config.latent, first * _FIRST_SIDE**2)
        self.rises = nn.Sequential(
            *(layer for pair in itertools.pairwise(config.rises) for layer in _rise(*pair))
        )
        self.grows = GrowthLayer(last, 1, 1)
        self.unfold = nn.Conv2d(last, config.strand_width * steps, 1)
        self.block = nn.Sequential(
            nn.Conv3d(config.strand_width, config.strand_width, 3, 1, 1),
            nn.ReLU(),
            StepLayer(config.strand_width, STEP_CHANNELS, 3, 1, 1),
        )
        self.strands = StrandsFromSteps(steps)
        self.register_buffer("roots", torch.zeros(SIDE * SIDE * 3))
        self.register_buffer("step_mean", torch.zeros(STEP_CHANNELS, steps, SIDE, SIDE))
        self.register_buffer("step_deviation", torch.full((STEP_CHANNELS * steps,), 0.3 / steps))

    def forward(self, z: torch.Tensor) -> Decoded:
        """What (B, latent) stands for, in metres."""
        x = nn.functional.relu(self.linear(z))
        x = self.rises(x.reshape(-1, self.first_width, _FIRST_SIDE, _FIRST_SIDE))
        strands = nn.functional.relu(self.unfold(x))  # (B, C K, 32, 32)
        strands = strands.reshape(-1, self.strand_width, self.steps, SIDE, SIDE)
        scale = self.get_buffer("step_deviation").reshape(STEP_CHANNELS, -1, 1, 1)
        steps = self.get_buffer("step_mean") + scale * self.block(strands)
        return Decoded(steps, self.grows(x)[:, 0])


def _rise(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        ResidualBlock(before, after, 1),
    ]
