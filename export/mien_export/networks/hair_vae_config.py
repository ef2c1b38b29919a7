# SPDX-License-Identifier: Apache-2.0
"""Sizes of hair VAEs, and the block that both halves are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.hair_vae_strands import NUM_POINTS

__all__ = [
    "HAIR_VAE",
    "HAIR_VAE_STARTER",
    "LATENT",
    "STEP_CHANNELS",
    "HairVaeConfig",
    "ResidualBlock",
]

LATENT = 512  # numbers that a hairstyle is between the halves, HairNet's
STEP_CHANNELS = 4  # x, y, z, curliness


@dataclass(frozen=True)
class HairVaeConfig:
    """Sizes of a hair VAE.

    Attributes:
        widths: channels of the encoder at 128, 64, 32, 16 and 8 pixels.
        blocks: residual blocks at each of the last four.
        squeezed: channels of the 8 x 8 features that mean and variance are read from.
        latent: numbers between encoder and decoder; the contracts of the two graphs have 512.
        rises: channels of the decoder at 4, 8, 16 and 32 cells.
        strand_width: channels of every step within the 3-D block.
        step_points: points that a step is long, a divisor of 99.
    """

    widths: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    squeezed: int = 64
    latent: int = LATENT
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
# 6 MB in fp16, 0.4 GMAC: narrower, and every third point of a strand is predicted.
HAIR_VAE_STARTER = HairVaeConfig(
    widths=(16, 32, 64, 96, 128),
    blocks=(1, 1, 1, 1),
    squeezed=24,
    rises=(128, 128, 96, 64),
    strand_width=8,
    step_points=3,
)


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
