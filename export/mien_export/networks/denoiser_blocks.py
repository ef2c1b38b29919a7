# SPDX-License-Identifier: Apache-2.0
"""What IDiff-Face's denoiser is made of.

Source   IDiff-Face ``models/diffusion/{unet,nn}.py`` and UIFace's copy; attribute names are those
         of their checkpoints.
Letters  B batch, C channels, T channels of the timestep's embedding, E channels of a context,
         H and W height and width, N = H W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mien_export.networks.attention import attend
from mien_export.networks.timesteps import Sinusoids


class TimeEmbedding(nn.Module):
    """Sinusoids and two linear layers."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.sinusoids = Sinusoids(channels)
        self.lin1 = nn.Linear(channels, outputs)
        self.lin2 = nn.Linear(outputs, outputs)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Map (B, 1) timesteps to (B, T)."""
        return self.lin2(nn.functional.silu(self.lin1(self.sinusoids(t))))  # type: ignore[no-any-return]


class ModulatedNorm(nn.Module):
    """GroupNorm, then a scale and a shift that come from outside."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)

    def forward(self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W), with (B, C, 1, 1) around 0 each, to the same shape."""
        return (1 + scale) * self.norm(x) + shift  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the timestep between them; plus the shortcut."""

    def __init__(self, in_channels: int, channels: int, time_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.time_emb = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, channels))
        self.scale_emb = nn.Linear(channels, channels)
        self.shift_emb = nn.Linear(channels, channels)
        self.norm2 = ModulatedNorm(channels, groups)
        self.conv2 = zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.shortcut = (
            nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)
        )

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) and (B, T) to (B, C', H, W)."""
        y = self.conv1(nn.functional.silu(self.norm1(x)))
        embedded = self.time_emb(time)  # (B, C')
        scale, shift = (
            part(embedded)[:, :, None, None] for part in (self.scale_emb, self.shift_emb)
        )
        y = self.conv2(nn.functional.silu(self.norm2(y, scale, shift)))
        return self.shortcut(x) + y  # type: ignore[no-any-return]


class MultiHeadAttention(nn.Module):
    """Attention of pixels to each other, or to tokens."""

    def __init__(self, channels: int, source_channels: int, head_channels: int) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(
                f"{channels} channels attend in heads of {head_channels}; expected a multiple of "
                "it. Change channels, multipliers or head_channels."
            )
        self.head_channels = head_channels
        self.to_q = nn.Conv1d(channels, channels, 1)
        self.to_k = nn.Conv1d(source_channels, channels, 1)
        self.to_v = nn.Conv1d(source_channels, channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Map (B, C, N) to the same shape, with keys and values from (B, C', M)."""
        q, k, v = self.to_q(x), self.to_k(source), self.to_v(source)
        return self.proj_out(attend(self._heads(q), self._heads(k), self._heads(v)))  # type: ignore[no-any-return]

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        _, channels, length = x.shape
        return x.reshape(-1, channels // self.head_channels, self.head_channels, length)


class ContextAttention(nn.Module):
    """Pixels attend to each other, then to the tokens of the contexts, then a wide layer.

    One norm stands before all three of them. ``tokens`` vectors are made of each context by a
    linear layer, channel after channel; with 0, a context is one token as it is.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        suffixes: Sequence[str],
        *,
        tokens: int,
        head_channels: int,
        groups: int,
    ) -> None:
        """Take the suffixes of the contexts' names."""
        super().__init__()
        self.tokens, self.suffixes = tokens, tuple(suffixes)
        self.x_proj_in = nn.Conv2d(channels, channels, 1)
        self.x_norm = nn.GroupNorm(groups, channels)
        self.self_attention = MultiHeadAttention(channels, channels, head_channels)
        self.cross_attention = MultiHeadAttention(channels, context_channels, head_channels)
        self.ff = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.x_proj_out = zeroed(nn.Conv2d(channels, channels, 1))
        for suffix in self.suffixes if tokens else ():
            projection = nn.Linear(context_channels, context_channels * tokens)
            self.add_module(f"c_proj_in{suffix}", projection)
            self.add_module(f"c_norm{suffix}", nn.GroupNorm(groups, context_channels))

    def forward(self, x: torch.Tensor, contexts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map (B, C, H, W) and (B, E) per context to (B, C, H, W)."""
        y = self.x_proj_in(x).flatten(2)  # (B, C, N)
        normed = self.x_norm(y)
        y = y + self.self_attention(normed, normed)
        y = y + self.cross_attention(self.x_norm(y), self._tokens(contexts))
        y = y + self.ff(self.x_norm(y).transpose(1, 2)).transpose(1, 2)
        return x + self.x_proj_out(y.reshape(-1, *x.shape[1:]))  # type: ignore[no-any-return]

    def _tokens(self, contexts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Give (B, E, M), the tokens of all contexts side by side."""
        if not self.tokens:
            return torch.stack(tuple(contexts), dim=2)
        made = []
        for suffix, context in zip(self.suffixes, contexts, strict=True):
            project = self.get_submodule(f"c_proj_in{suffix}")
            norm = self.get_submodule(f"c_norm{suffix}")
            made.append(norm(project(context).reshape(-1, context.shape[1], self.tokens)))
        return torch.cat(made, dim=2)


class Halve(nn.Module):
    """A 3x3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H / 2, W / 2)."""
        return self.conv(x)  # type: ignore[no-any-return]


class Double(nn.Module):
    """A transposed 4x4 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return self.conv(x)  # type: ignore[no-any-return]


def zeroed(module: nn.Module) -> nn.Module:
    """Let a layer at the end of a residual branch start at zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
