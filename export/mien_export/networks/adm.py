# SPDX-License-Identifier: Apache-2.0
"""DCFace's G_id: guided-diffusion's unconditional U-Net ("ADM") on pixels.

Source   guided-diffusion ``guided_diffusion/unet.py``, in the sizes of DCFace's
         ``stage1/unconditional_generation``; attribute names are those of ``ffhq_10m.pt``.
Papers   Dhariwal and Nichol 2021, *Diffusion Models Beat GANs on Image Synthesis*, section 3;
         Nichol and Dhariwal 2021, *Improved Denoising Diffusion Probabilistic Models*, section 3.1
         for the variance.
Letters  B batch, C base channels, T = 4 C, px the side of an image.

MorphFace's supplement has it at 128 x 128; the public weights make 256 x 256, faces not aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.adm_blocks import AttentionBlock, ResidualBlock, Resize, Step
from mien_export.networks.denoiser_blocks import zeroed
from mien_export.networks.timesteps import Sinusoids

IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class AdmConfig:
    """Sizes of an ADM; the defaults are those of ``ffhq_10m.pt``.

    Attributes:
        channels: C.
        multipliers: of C, per level, fine to coarse.
        attention: whether the blocks of a level attend; the middle always does.
        blocks: residual blocks per level on the way down; one more on the way up.
        head_channels: of an attention head.
        groups: of every GroupNorm.
    """

    channels: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    attention: tuple[bool, ...] = (False, False, False, False, True, False)  # at 16 of 256 px
    blocks: int = 1
    head_channels: int = 64
    groups: int = 32


DCFACE_G_ID = AdmConfig()
# 5.9 M parameters, a sixteenth of the work: to try the machinery, nobody has trained it.
ADM_NARROW = AdmConfig(channels=32, head_channels=32)


class Adm(nn.Module):
    """A U-Net: every step down leaves its output to a block on the way up."""

    def __init__(self, config: AdmConfig) -> None:
        super().__init__()
        levels = list(zip(config.multipliers, config.attention, strict=True))
        channels = config.channels * config.multipliers[0]
        first = nn.Conv2d(IMAGE_CHANNELS, channels, 3, padding=1)
        self.input_blocks = nn.ModuleList([Step([first])])
        left = [channels]
        for level, (multiplier, attends) in enumerate(levels):
            if level > 0:
                self.input_blocks.append(Step([_residual(channels, channels, config, "halve")]))
                left.append(channels)
            width = config.channels * multiplier
            for _ in range(config.blocks):
                self.input_blocks.append(_step(channels, width, config, attends=attends))
                left.append(width)
                channels = width
        self.middle_block = Step(
            [
                _residual(channels, channels, config),
                AttentionBlock(channels, config.head_channels, config.groups),
                _residual(channels, channels, config),
            ]
        )
        self.output_blocks = nn.ModuleList()
        for level, (multiplier, attends) in reversed(list(enumerate(levels))):
            width = config.channels * multiplier
            for _ in range(config.blocks + 1):
                step = _step(channels + left.pop(), width, config, attends=attends)
                self.output_blocks.append(step)
                channels = width
            if level > 0:
                step.append(_residual(channels, channels, config, "double"))
        self.time_embed = nn.Sequential(
            nn.Linear(config.channels, 4 * config.channels),
            nn.SiLU(),
            nn.Linear(4 * config.channels, 4 * config.channels),
        )
        self.sinusoids = Sinusoids(config.channels)
        self.out = nn.Sequential(
            nn.GroupNorm(config.groups, channels),
            nn.SiLU(),
            zeroed(nn.Conv2d(channels, 2 * IMAGE_CHANNELS, 3, padding=1)),
        )

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Estimate the noise in an image, and how much the next step may vary.

        Args:
            x_t: (B, 3, px, px) RGB in -1..1 with noise; px a multiple of 2 per level.
            t: (B, 1) timestep, 0 to 999.

        Returns:
            (B, 6, px, px): noise of unit variance; place of the log-variance, -1 at the
            posterior's and 1 at beta's.
        """
        time = self.time_embed(self.sinusoids(t))  # (B, T)
        x, left = x_t, []
        for step in self.input_blocks:
            x = step(x, time)
            left.append(x)
        x = self.middle_block(x, time)  # (B, 4 C, px / 32, px / 32)
        for step in self.output_blocks:
            x = step(torch.cat([x, left.pop()], dim=1), time)
        return self.out(x)  # type: ignore[no-any-return]  # (B, 6, px, px)


def _residual(
    in_channels: int, channels: int, config: AdmConfig, resize: Resize = "none"
) -> ResidualBlock:
    return ResidualBlock(in_channels, channels, 4 * config.channels, config.groups, resize)


def _step(in_channels: int, channels: int, config: AdmConfig, *, attends: bool) -> Step:
    step = Step([_residual(in_channels, channels, config)])
    if attends:
        step.append(AttentionBlock(channels, config.head_channels, config.groups))
    return step
