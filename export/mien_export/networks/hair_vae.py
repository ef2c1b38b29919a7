# SPDX-License-Identifier: Apache-2.0
"""From an orientation map to strands on the scalp's grid, through a few hundred numbers.

Papers   Zhou et al. 2018, *HairNet*, section 4: encoder, 512 numbers, 256 x 4 x 4, 32 x 32 strands
         of 100 points. The thesis makes it a variational autoencoder (Kingma and Welling 2014) with
         residual blocks, batch normalisation and a 3-D convolution at the end (section 3.2.4.1);
         its layers are not published, these are mien's.
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
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from mien_export.networks.hair_vae_strands import NUM_POINTS, SIDE, StrandsFromSteps

__all__ = ["HAIR_VAE", "HAIR_VAE_STARTER", "MAP_PX", "Decoded", "HairVae", "HairVaeConfig"]

MAP_PX = 256
_MAP_CHANNELS = 3
_CODED_SIDE, _FIRST_SIDE = 8, 4  # before and behind the latent
_STEP_CHANNELS = 4  # x, y, z, curliness


@dataclass(frozen=True)
class HairVaeConfig:
    """Sizes of a hair VAE.

    Attributes:
        widths: channels of the encoder at 128, 64, 32, 16 and 8 pixels.
        blocks: residual blocks at each of the last four.
        squeezed: channels of the 8 x 8 features that mean and variance are read from.
        latent: numbers between encoder and decoder.
        rises: channels of the decoder at 4, 8, 16 and 32 cells.
        strand_width: channels of every step within the 3-D block.
        step_points: points that a step is long, a divisor of 99.
    """

    widths: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    squeezed: int = 64
    latent: int = 512
    rises: tuple[int, int, int, int] = (256, 512, 512, 512)
    strand_width: int = 16
    step_points: int = 1

    def __post_init__(self) -> None:
        if self.step_points < 1 or (NUM_POINTS - 1) % self.step_points:
            raise ValueError(
                f"step_points is {self.step_points}; expected a divisor of {NUM_POINTS - 1}, so "
                "that the last step ends at the last point."
            )

    @property
    def steps(self) -> int:
        """K."""
        return (NUM_POINTS - 1) // self.step_points


HAIR_VAE = HairVaeConfig()
# 5 MB in fp16, 0.4 GMAC: narrower, and every third point of a strand is predicted.
HAIR_VAE_STARTER = HairVaeConfig(
    widths=(16, 32, 64, 96, 128),
    blocks=(1, 1, 1, 1),
    squeezed=24,
    latent=256,
    rises=(128, 128, 96, 64),
    strand_width=8,
    step_points=3,
)


class Decoded(NamedTuple):
    """What the decoder says of a grid.

    Attributes:
        steps: (B, 4, K, 32, 32) metres from one knot of a strand to the next, and curliness there.
        grows: (B, 32, 32) logits of there being a strand.
    """

    steps: torch.Tensor
    grows: torch.Tensor


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to the input (He et al. 2016, figure 2)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        changes = stride != 1 or before != after
        self.shortcut = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            if changes
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        return nn.functional.relu(self.layers(x) + self.shortcut(x))


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


class Encoder(nn.Module):
    """A map's features to mean and log-variance of its latent."""

    def __init__(self, config: HairVaeConfig) -> None:
        super().__init__()
        stem, *_ = config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(_MAP_CHANNELS, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        self.stages = nn.Sequential(
            *(
                ResidualBlock(before if number == 0 else after, after, 2 if number == 0 else 1)
                for (before, after), blocks in zip(
                    itertools.pairwise(config.widths), config.blocks, strict=True
                )
                for number in range(blocks)
            )
        )
        self.squeeze = nn.Conv2d(config.widths[-1], config.squeezed, 1)
        coded = config.squeezed * _CODED_SIDE**2
        self.mean = nn.Linear(coded, config.latent)
        self.log_variance = nn.Linear(coded, config.latent)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, 3, 256, 256) to twice (B, latent)."""
        x = self.stages(self.stem(features))  # (B, C, 8, 8)
        x = nn.functional.relu(self.squeeze(x)).flatten(1)
        return self.mean(x), self.log_variance(x)


class Decoder(nn.Module):
    """A latent to what every cell of the grid grows, in deviations from the mean style."""

    def __init__(self, config: HairVaeConfig) -> None:
        super().__init__()
        first, *_, last = config.rises
        self.first_width, self.strand_width, self.steps = first, config.strand_width, config.steps
        self.linear = nn.Linear(config.latent, first * _FIRST_SIDE**2)
        self.rises = nn.Sequential(
            *(layer for pair in itertools.pairwise(config.rises) for layer in _rise(*pair))
        )
        self.grows = GrowthLayer(last, 1, 1)
        self.unfold = nn.Conv2d(last, config.strand_width * config.steps, 1)
        self.block = nn.Sequential(
            nn.Conv3d(config.strand_width, config.strand_width, 3, 1, 1),
            nn.ReLU(),
            StepLayer(config.strand_width, _STEP_CHANNELS, 3, 1, 1),
        )

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, latent) to (B, 4, K, 32, 32) and (B, 32, 32) logits."""
        x = nn.functional.relu(self.linear(z))
        x = self.rises(x.reshape(-1, self.first_width, _FIRST_SIDE, _FIRST_SIDE))
        strands = nn.functional.relu(self.unfold(x))  # (B, C K, 32, 32)
        strands = strands.reshape(-1, self.strand_width, self.steps, SIDE, SIDE)
        return self.block(strands), self.grows(x)[:, 0]


class HairVae(nn.Module):
    """Encoder, decoder, and the statistics of styles between the decoder and metres.

    Buffers, all but `step_mean` stored flat, since only matrices lose precision in weights files:
    `roots` (32 * 32 * 3) metres, 0 where there is no scalp; `step_mean` (4, K, 32, 32), the mean
    style; `step_deviation` (4 * K).
    """

    def __init__(self, config: HairVaeConfig) -> None:
        super().__init__()
        steps = config.steps
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.strands = StrandsFromSteps(steps)
        self.register_buffer("roots", torch.zeros(SIDE * SIDE * 3))
        self.register_buffer("step_mean", torch.zeros(_STEP_CHANNELS, steps, SIDE, SIDE))
        self.register_buffer("step_deviation", torch.full((_STEP_CHANNELS * steps,), 0.3 / steps))

    def decode(self, z: torch.Tensor) -> Decoded:
        """What (B, latent) stands for, in metres."""
        deviations, grows = self.decoder(z)
        scale = self.get_buffer("step_deviation").reshape(_STEP_CHANNELS, -1, 1, 1)
        return Decoded(self.get_buffer("step_mean") + scale * deviations, grows)

    def forward(self, features: torch.Tensor) -> Decoded:
        """Decode the mean of the latent: the same map always gives the same hair.

        Args:
            features: (B, 3, 256, 256), from `hair_vae_strands.features_of`.
        """
        mean, _ = self.encoder(features)
        return self.decode(mean)


def _rise(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        ResidualBlock(before, after, 1),
    ]
