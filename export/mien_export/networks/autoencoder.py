# SPDX-License-Identifier: Apache-2.0
"""LDM's autoencoders with a quarter of the resolution (f = 4): VQ-f4, KL-f4, and small ones.

Source   latent-diffusion ``ldm/models/autoencoder.py``; attribute names are those of its
         checkpoints, cut in two as IDiff-Face does: ``encoder`` and ``quant_conv``; ``decoder``,
         ``quantize`` and ``post_quant_conv``.
Paper    Rombach et al. 2022, *High-Resolution Image Synthesis with Latent Diffusion Models*,
         section 3.1 and table 8.
Letters  B batch, C channels, K codes, N = 32 * 32 pixels of a latent of a 128 x 128 image.

Latents have no scale of their own: a training that wants them at unit variance multiplies
``quant_conv`` and divides ``post_quant_conv`` by it, which are linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.autoencoder_blocks import Down, Middle, Up, normalise

LATENT_CHANNELS = 3


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of an autoencoder; the defaults are those of the published VQ-f4.

    Attributes:
        channels: at the resolution of the image.
        multipliers: of the channels, per resolution, fine to coarse; each step halves.
        blocks: residual blocks per resolution of the encoder; the decoder has one more.
        groups: of every GroupNorm.
        codes: K, entries of the codebook; 0 for the KL form, whose encoder gives mean and
            log-variance of a Gaussian instead.
    """

    channels: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 2
    groups: int = 32
    codes: int = 8192

    @property
    def widths(self) -> list[int]:
        """Channels per resolution, fine to coarse."""
        return [self.channels * multiplier for multiplier in self.multipliers]


VQ_F4 = AutoencoderConfig()
KL_F4 = AutoencoderConfig(codes=0)
# 1.0 and 1.7 M parameters; a sixteenth of the work of the published ones and less.
VQ_F4_STARTER = AutoencoderConfig(channels=32, blocks=1, groups=8, codes=1024)
KL_F4_STARTER = AutoencoderConfig(channels=32, blocks=1, groups=8, codes=0)


class Encoder(nn.Module):
    """Convolutions from an image to features at a quarter of its resolution."""

    def __init__(self, config: AutoencoderConfig, outputs: int) -> None:
        super().__init__()
        widths, groups = config.widths, config.groups
        self.conv_in = nn.Conv2d(3, config.channels, 3, padding=1)
        before = [config.channels, *widths[:-1]]
        self.down = nn.ModuleList(
            Down([first, *[width] * config.blocks], groups, halves=level < len(widths) - 1)
            for level, (first, width) in enumerate(zip(before, widths, strict=True))
        )
        self.mid = Middle(widths[-1], groups)
        self.norm_out = normalise(widths[-1], groups)
        self.conv_out = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 128, 128) to (B, outputs, 32, 32)."""
        x = self.conv_in(x)  # (B, C, 128, 128)
        for down in self.down:
            x = down(x)
        x = self.mid(x)  # (B, 4 C, 32, 32)
        return self.conv_out(nn.functional.silu(self.norm_out(x)))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Convolutions from a latent to an image at four times its resolution."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.widths, config.groups
        self.conv_in = nn.Conv2d(LATENT_CHANNELS, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], groups)
        before = [*widths[1:], widths[-1]]
        # Numbered from fine to coarse in the checkpoints, used from coarse to fine.
        self.up = nn.ModuleList(
            Up([first, *[width] * (config.blocks + 1)], groups, doubles=level > 0)
            for level, (first, width) in enumerate(zip(before, widths, strict=True))
        )
        self.norm_out = normalise(widths[0], groups)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 32, 32) to (B, 3, 128, 128)."""
        x = self.mid(self.conv_in(x))  # (B, 4 C, 32, 32)
        for up in reversed(self.up):
            x = up(x)
        return self.conv_out(nn.functional.silu(self.norm_out(x)))  # type: ignore[no-any-return]


class Codebook(nn.Module):
    """Puts the nearest code in the place of every vector of a latent."""

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, LATENT_CHANNELS)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, H, W) to the same shape."""
        found = self.embedding(self.indices(z)).transpose(1, 2)  # (B, 3, N)
        return found.reshape(-1, *z.shape[1:])  # type: ignore[no-any-return]

    def indices(self, z: torch.Tensor) -> torch.Tensor:
        """Give (B, N) numbers of the codes with the smallest squared distance to (B, 3, H, W).

        One coordinate after the other, in fp32: the usual |z|^2 - 2 z.e + |e|^2 cancels, and
        then two machines choose different codes of nearly equal distance.
        """
        vectors = z.float().flatten(2).unsqueeze(3)  # (B, 3, N, 1)
        codes = self.embedding.weight.float()  # (K, 3)
        differences = (vectors[:, i] - codes[:, i] for i in range(LATENT_CHANNELS))
        first, *others = (difference * difference for difference in differences)  # (B, N, K)
        for other in others:
            first = first + other
        return first.argmin(dim=2)  # (B, N)


class LatentEncoder(nn.Module):
    """An image to its latent: not yet quantised in the VQ form, the mean in the KL form."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        outputs = LATENT_CHANNELS if config.codes else 2 * LATENT_CHANNELS
        self.encoder = Encoder(config, outputs)
        self.quant_conv = nn.Conv2d(outputs, outputs, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 128, 128), RGB in -1..1, to (B, 3, 32, 32)."""
        return self.moments(image)[:, :LATENT_CHANNELS]

    def moments(self, image: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 128, 128) to (B, 6, 32, 32), mean and log-variance; VQ: the latent alone."""
        return self.quant_conv(self.encoder(image))  # type: ignore[no-any-return]


class LatentDecoder(nn.Module):
    """A latent to its image, through the nearest codes in the VQ form."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.quantize = Codebook(config.codes) if config.codes else nn.Identity()
        self.post_quant_conv = nn.Conv2d(LATENT_CHANNELS, LATENT_CHANNELS, 1)
        self.decoder = Decoder(config)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 32, 32) to (B, 3, 128, 128), RGB in about -1..1."""
        return self.decoder(self.post_quant_conv(self.quantize(z)))  # type: ignore[no-any-return]
