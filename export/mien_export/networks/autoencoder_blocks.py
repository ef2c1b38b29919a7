# SPDX-License-Identifier: Apache-2.0
"""What both halves of LDM's autoencoder are made of.

Source   latent-diffusion ``ldm/modules/diffusionmodules/model.py``; attribute names are those of
         its checkpoints.
Letters  B batch, C channels, H and W height and width, N = H W.

Three habits of it differ from the denoisers': GroupNorm has eps 1e-6, convolutions that halve pad
below and to the right only, doubling is nearest neighbour and a convolution.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from mien_export.networks.attention import attend

_EPS = 1e-6


def normalise(channels: int, groups: int) -> nn.GroupNorm:
    """Make the GroupNorm of this autoencoder."""
    return nn.GroupNorm(groups, channels, eps=_EPS)


class ResnetBlock(nn.Module):
    """Norm, SiLU, 3x3, twice; plus the shortcut."""

    def __init__(self, in_channels: int, channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = normalise(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm2 = normalise(channels, groups)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.nin_shortcut = (
            nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        y = self.conv1(nn.functional.silu(self.norm1(x)))
        y = self.conv2(nn.functional.silu(self.norm2(y)))
        return self.nin_shortcut(x) + y  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Pixels attend to each other, in one head as wide as the features."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = normalise(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = self.norm(x)
        q, k, v = (part(y).flatten(2).unsqueeze(1) for part in (self.q, self.k, self.v))
        y = attend(q, k, v).reshape(-1, *x.shape[1:])  # (B, C, N) to (B, C, H, W)
        return x + self.proj_out(y)  # type: ignore[no-any-return]


class Middle(nn.Module):
    """Two blocks around an attention, at the coarsest resolution."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, groups)
        self.attn_1 = AttentionBlock(channels, groups)
        self.block_2 = ResnetBlock(channels, channels, groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.block_2(self.attn_1(self.block_1(x)))  # type: ignore[no-any-return]


class Halve(nn.Module):
    """A 3x3 convolution of stride 2, padded below and to the right only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H / 2, W / 2)."""
        return self.conv(nn.functional.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]


class Double(nn.Module):
    """Every pixel four times, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return self.conv(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


class Down(nn.Module):
    """The blocks of one resolution of the encoder, and the step to the next."""

    def __init__(self, channels: list[int], groups: int, *, halves: bool) -> None:
        """Take the channels before the first block and after each."""
        super().__init__()
        self.block = _blocks(channels, groups)
        self.downsample = Halve(channels[-1]) if halves else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / 2, W / 2), or (B, C', H, W) at the coarsest."""
        for block in self.block:
            x = block(x)
        return self.downsample(x)  # type: ignore[no-any-return]


class Up(nn.Module):
    """The blocks of one resolution of the decoder, and the step to the next."""

    def __init__(self, channels: list[int], groups: int, *, doubles: bool) -> None:
        """Take the channels before the first block and after each."""
        super().__init__()
        self.block = _blocks(channels, groups)
        self.upsample = Double(channels[-1]) if doubles else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', 2 H, 2 W), or (B, C', H, W) at the finest."""
        for block in self.block:
            x = block(x)
        return self.upsample(x)  # type: ignore[no-any-return]


def _blocks(channels: list[int], groups: int) -> nn.ModuleList:
    pairs = itertools.pairwise(channels)
    return nn.ModuleList(ResnetBlock(before, after, groups) for before, after in pairs)
