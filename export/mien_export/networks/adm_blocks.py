# SPDX-License-Identifier: Apache-2.0
"""What guided-diffusion's U-Net is made of.

Source   guided-diffusion ``guided_diffusion/unet.py``; attribute names are those of its
         checkpoints.
Letters  B batch, C channels, T channels of the timestep's embedding, H and W height and width,
         N = H W.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from mien_export.networks.attention import attend
from mien_export.networks.denoiser_blocks import zeroed

Resize = Literal["none", "halve", "double"]


class Double(nn.Module):
    """Every pixel four times."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


_RESIZES: dict[Resize, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "halve": functools.partial(nn.AvgPool2d, 2),
    "double": Double,
}


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the timestep between them; plus the shortcut.

    A block that resizes does so in front of its first convolution, and in its shortcut.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        time_channels: int,
        groups: int,
        resize: Resize = "none",
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups, in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, channels, 3, padding=1),
        )
        self.resize = _RESIZES[resize]()
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, 2 * channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.SiLU(),
            nn.Identity(),  # upstream's dropout, whose number in the names is 2
            zeroed(nn.Conv2d(channels, channels, 3, padding=1)),
        )
        self.skip_connection = (
            nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)
        )

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) and (B, T) to (B, C', H', W')."""
        norm, activation, convolution = self.in_layers
        y = convolution(self.resize(activation(norm(x))))
        scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, dim=1)
        norm, *others = self.out_layers
        y = norm(y) * (1 + scale) + shift
        for layer in others:
            y = layer(y)
        return self.skip_connection(self.resize(x)) + y  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Pixels attend to each other.

    ``qkv`` gives queries, keys and values of the first head, then of the second: the older of
    guided-diffusion's two orders, which its default and DCFace use.
    """

    def __init__(self, channels: int, head_channels: int, groups: int) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(
                f"{channels} channels attend in heads of {head_channels}; expected a multiple of "
                "it. Change channels, multipliers or head_channels."
            )
        self.heads = channels // head_channels
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        _, channels, height, width = x.shape
        length = height * width
        qkv = self.qkv(self.norm(x).flatten(2))  # (B, 3 C, N)
        by_head = qkv.reshape(-1, self.heads, 3 * channels // self.heads, length)
        q, k, v = by_head.chunk(3, dim=2)  # (B, heads, C / heads, N) each
        return x + self.proj_out(attend(q, k, v)).reshape(-1, *x.shape[1:])  # type: ignore[no-any-return]


class Step(nn.ModuleList):
    """Modules one behind the other; residual blocks are also given the timestep."""

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) and (B, T) to (B, C', H', W')."""
        for module in self:
            x = module(x, time) if isinstance(module, ResidualBlock) else module(x)
        return x
