# SPDX-License-Identifier: Apache-2.0
"""From an orientation map to strands on the scalp's grid, through a few hundred numbers.

Papers   Zhou et al. 2018, *HairNet*, section 4: encoder, 512 numbers, 256 x 4 x 4, 32 x 32 strands
         of 100 points. The thesis makes it a variational autoencoder (Kingma and Welling 2014) with
         residual blocks, batch normalisation and a 3-D convolution at the end (section 3.2.4.1);
         its layers are not published, these are mien's.
Letters  B batch.

The halves are served as graphs of their own: what a photograph says is the latent, and hair is made
of it again without the photograph. Here they learn together.
"""

from __future__ import annotations

import torch
from torch import nn

from mien_export.networks.hair_vae_config import HairVaeConfig
from mien_export.networks.hair_vae_decoder import Decoded, HairVaeDecoder
from mien_export.networks.hair_vae_encoder import CODED_SIDE, HairVaeEncoder

__all__ = ["HairVae"]


class HairVae(nn.Module):
    """Both halves, and how sure the encoder is."""

    def __init__(self, config: HairVaeConfig) -> None:
        super().__init__()
        self.encoder = HairVaeEncoder(config)
        self.log_variance = nn.Linear(config.squeezed * CODED_SIDE**2, config.latent)
        self.decoder = HairVaeDecoder(config)

    def posterior(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, 3, 256, 256) to mean and log-variance, each (B, latent)."""
        coded = self.encoder.coded(features)
        return self.encoder.mean(coded), self.log_variance(coded)

    def forward(self, features: torch.Tensor) -> Decoded:
        """Decode the mean of the latent.

        Args:
            features: (B, 3, 256, 256), from `hair_vae_strands.features_of`.
        """
        decoded: Decoded = self.decoder(self.encoder(features))
        return decoded
