# SPDX-License-Identifier: Apache-2.0
"""The conditional denoiser: IDiff-Face's and UIFace's U-Net, and MorphFace's with two contexts.

Source   IDiff-Face ``models/diffusion/unet.py`` and UIFace's copy, condition type "ca"; attribute
         names are those of their checkpoints. MorphFace's are not published: the names of its two
         contexts are the public one's with ``_id`` and ``_sty`` behind them.
Papers   Boutros et al. 2023, *IDiff-Face*, section 3.1; Lin et al. 2025, *UIFace*; MorphFace
         (arXiv 2504.00430), supplement section B.2 and figure 11; Rombach et al. 2022, section 3.3;
         Salimans and Ho 2022, *Progressive Distillation*, section 4, for the velocity.
Letters  B batch, C base channels, T = 4 C, E channels of a context inside the network.
Symbols  ``z`` is z_t, a latent with noise; ``t`` its timestep, 0 to 999; the output is epsilon.

A context is dropped by putting a learned vector in its place, sample by sample, so one batch holds
all of (c_id, c_sty), (c_id, empty), (empty, c_sty) and (empty, empty).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from mien_export.networks.autoencoder import LATENT_CHANNELS
from mien_export.networks.denoiser_blocks import (
    ContextAttention,
    Double,
    Halve,
    ResidualBlock,
    TimeEmbedding,
    zeroed,
)

NUM_CONTEXT = 512
TIMESTEPS, BETA_FIRST, BETA_LAST = 1000, 1e-4, 0.02


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of a denoiser; the defaults are those of UIFace.

    Attributes:
        channels: C, at the resolution of the latent.
        multipliers: of the channels of the level before, per level, fine to coarse.
        attention: whether the blocks of a level attend; the middle always does.
        blocks: residual blocks per level on the way down; one more on the way up.
        head_channels: of an attention head.
        contexts: ``identity`` alone, or ``identity_style``.
        tokens: made of each context in every attention, with a projection to ``context_channels``
            before; 0 makes each context one token of 512 channels, as in LDM.
        context_channels: E, where ``tokens`` are made.
        learns_empty: whether the empty context is learned; in IDiff-Face it is zeros.
        groups: of every GroupNorm.
        head: what the last layer makes: the ``noise``, as the public networks do, or the
            ``velocity``, of which the noise is computed.
    """

    channels: int = 96
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    attention: tuple[bool, ...] = (False, True, True, True)
    blocks: int = 2
    head_channels: int = 32
    contexts: Literal["identity", "identity_style"] = "identity"
    tokens: int = 32
    context_channels: int = 256
    learns_empty: bool = True
    groups: int = 32
    head: Literal["noise", "velocity"] = "noise"

    def __post_init__(self) -> None:
        if self.contexts not in _SUFFIXES:
            allowed = ", ".join(_SUFFIXES)
            raise ValueError(f"contexts is {self.contexts!r}; expected one of {allowed}.")
        if len(self.attention) != len(self.multipliers):
            raise ValueError(
                f"attention has {len(self.attention)} entries and multipliers "
                f"{len(self.multipliers)}; expected one each per level."
            )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of the contexts' layers end in."""
        return _SUFFIXES[self.contexts]

    @property
    def context_width(self) -> int:
        """Channels of a context where pixels attend to it."""
        return self.context_channels if self.tokens else NUM_CONTEXT


_SUFFIXES = {"identity": ("",), "identity_style": ("_id", "_sty")}

UIFACE = DenoiserConfig()
IDIFF_FACE = DenoiserConfig(learns_empty=False)
MORPHFACE = DenoiserConfig(contexts="identity_style")
MORPHFACE_LDM_TOKENS = DenoiserConfig(contexts="identity_style", tokens=0)
# 7.1 M parameters, 0.98 GMAC; the published size has 216 M and 6.9 GMAC. A small network that makes
# the noise itself does not copy z exactly enough: at t = 999 an error of it is one of x0 157 times
# as large, and x0 is then worse than anybody's guess.
MORPHFACE_STARTER = DenoiserConfig(
    channels=64,
    multipliers=(1, 2, 1),
    attention=(False, True, True),
    blocks=1,
    contexts="identity_style",
    tokens=4,
    context_channels=128,
    head="velocity",
)


class Block(nn.Module):
    """A residual block, and an attention behind it at some levels."""

    def __init__(
        self, in_channels: int, channels: int, config: DenoiserConfig, *, attends: bool
    ) -> None:
        super().__init__()
        self.res = _residual(in_channels, channels, config)
        self.attn = _attention(channels, config) if attends else None

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, contexts: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Map (B, C, H, W), (B, T) and (B, E) per context to (B, C', H, W)."""
        x = self.res(x, time)
        return x if self.attn is None else self.attn(x, contexts)


class Middle(nn.Module):
    """Two residual blocks around an attention, at the coarsest level."""

    def __init__(self, channels: int, config: DenoiserConfig) -> None:
        super().__init__()
        self.res1 = _residual(channels, channels, config)
        self.attn = _attention(channels, config)
        self.res2 = _residual(channels, channels, config)

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, contexts: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Map (B, C, H, W), (B, T) and (B, E) per context to (B, C, H, W)."""
        return self.res2(self.attn(self.res1(x, time), contexts), time)  # type: ignore[no-any-return]


class Denoiser(nn.Module):
    """A U-Net: every step down leaves its output to a block on the way up."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.image_proj = nn.Conv2d(LATENT_CHANNELS, config.channels, 3, padding=1)
        self.time_emb = TimeEmbedding(config.channels, 4 * config.channels)
        for suffix in config.suffixes:
            self._add_context(suffix)
        self.down = nn.ModuleList()
        channels = config.channels
        for level, (multiplier, attends) in enumerate(_levels(config)):
            if level > 0:
                self.down.append(Halve(channels))
            before, channels = channels, channels * multiplier
            for i in range(config.blocks):
                self.down.append(
                    Block(channels if i else before, channels, config, attends=attends)
                )
        self.middle = Middle(channels, config)
        self.up = nn.ModuleList()
        for multiplier, attends in reversed(_levels(config)):
            if len(self.up):
                self.up.append(Double(channels))
            finer = channels // multiplier
            # A block takes as many channels from the way down as it gives.
            for after in (*[channels] * config.blocks, finer):
                self.up.append(Block(channels + after, after, config, attends=attends))
            channels = finer
        if config.head == "velocity":
            alpha_bar = _alpha_bar()
            self.register_buffer("signal", alpha_bar.sqrt(), persistent=False)
            self.register_buffer("spread", (1 - alpha_bar).sqrt(), persistent=False)
        self.norm = nn.GroupNorm(config.groups, channels)
        self.final = zeroed(nn.Conv2d(channels, LATENT_CHANNELS, 3, padding=1))

    def forward(
        self,
        z: torch.Tensor,
        t: torch.Tensor,
        contexts: Sequence[torch.Tensor],
        keeps: Sequence[torch.Tensor],
    ) -> torch.Tensor:
        """Estimate the noise in a latent.

        Args:
            z: (B, 3, 32, 32) latent with noise.
            t: (B, 1) timestep, 0 to 999.
            contexts: (B, 512) identity, and style where the network has it.
            keeps: (B, 1) per context: 1 keeps it, 0 puts the learned empty one in its place.

        Returns:
            (B, 3, 32, 32) noise of unit variance.
        """
        time = self.time_emb(t)  # (B, T)
        inner = [
            self._context(*given)
            for given in zip(self.config.suffixes, contexts, keeps, strict=True)
        ]
        x = self.image_proj(z)  # (B, C, 32, 32)
        left = [x]
        for step in self.down:
            x = step(x) if isinstance(step, Halve) else step(x, time, inner)
            left.append(x)
        x = self.middle(x, time, inner)  # (B, 8 C, 4, 4)
        for step in self.up:
            if isinstance(step, Double):
                x = step(x)
            else:
                x = step(torch.cat([x, left.pop()], dim=1), time, inner)
        made = self.final(nn.functional.silu(self.norm(x)))
        return self._noise(made, z, t) if self.config.head == "velocity" else made

    def _noise(self, velocity: torch.Tensor, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The noise in z of the velocity sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0."""
        at = t[:, 0].round().long().clamp(0, TIMESTEPS - 1)
        signal: torch.Tensor = self.signal  # type: ignore[assignment]
        spread: torch.Tensor = self.spread  # type: ignore[assignment]
        return spread[at].view(-1, 1, 1, 1) * z + signal[at].view(-1, 1, 1, 1) * velocity

    def _add_context(self, suffix: str) -> None:
        width = self.config.context_width
        if self.config.tokens:
            self.add_module(f"context_emb{suffix}", nn.Linear(NUM_CONTEXT, width))
        name = f"empty_context_embedding{suffix}"
        if self.config.learns_empty:
            self.register_parameter(name, nn.Parameter(torch.randn(width)))
        else:
            self.register_buffer(name, torch.zeros(width), persistent=False)

    def _context(self, suffix: str, context: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Give (B, E), the context or the empty one; chosen, since 0 times NaN is NaN."""
        if self.config.tokens:
            context = self.get_submodule(f"context_emb{suffix}")(context)
        empty: torch.Tensor = getattr(self, f"empty_context_embedding{suffix}")
        return torch.where(keep > 0.5, context, empty)


def _alpha_bar() -> torch.Tensor:
    """(T,) share of the image's variance at each timestep (Ho et al. 2020, section 4)."""
    betas = torch.linspace(BETA_FIRST, BETA_LAST, TIMESTEPS, dtype=torch.float64)
    return torch.cumprod(1 - betas, dim=0).float()


def _levels(config: DenoiserConfig) -> list[tuple[int, bool]]:
    return list(zip(config.multipliers, config.attention, strict=True))


def _residual(in_channels: int, channels: int, config: DenoiserConfig) -> ResidualBlock:
    return ResidualBlock(in_channels, channels, 4 * config.channels, config.groups)


def _attention(channels: int, config: DenoiserConfig) -> ContextAttention:
    return ContextAttention(
        channels,
        config.context_width,
        config.suffixes,
        tokens=config.tokens,
        head_channels=config.head_channels,
        groups=config.groups,
    )
