# SPDX-License-Identifier: Apache-2.0
"""The half of a hair VAE that reads hair: features of HairNet's map to the mean of its latent.

Letters  B batch, C channels.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from mien_export.networks.hair_vae_config import HairVaeConfig, ResidualBlock

__all__ = ["CODED_SIDE", "HairVaeEncoder"]

CODED_SIDE = 8
_MAP_CHANNELS = 3


class HairVaeEncoder(nn.Module):
    """What is served of the encoder: the mean, so that the same map always gives the same hair."""

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
        self.mean = nn.Linear(config.squeezed * CODED_SIDE**2, config.latent)

    def coded(self, features: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 256, 256), from `hair_vae_strands.features_of`, to (B, squeezed * 64)."""
        x = self.stages(self.stem(features))  # (B, C, 8, 8)
        return nn.functional.relu(self.squeeze(x)).flatten(1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 256, 256) to (B, latent), the mean."""
        mean: torch.Tensor = self.mean(self.coded(features))
        return mean
