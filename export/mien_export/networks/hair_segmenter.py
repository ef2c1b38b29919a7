# SPDX-License-Identifier: Apache-2.0
"""mien's own network that tells hair, the rest of a person and everything else apart.

Letters  B batch, C channels.

A trunk of the landmarker's blocks halves the crop to 8 x 8, where every cell sees all of it; what
is known there goes back up, stage by stage, and is added to the finer features (Ronneberger et al.
2015, *U-Net*, with sums in the place of concatenations, as in Lin et al. 2017, *Feature Pyramid
Networks*, figure 3). The finest have half of the crop's side: hair has no sharper edge than that.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.landmarker import Block

__all__ = ["HAIR_SEGMENTER", "NUM_CLASSES", "HairSegmenter", "HairSegmenterConfig", "Likelihoods"]

NUM_CLASSES = 3  # background, hair, body
_HALVINGS = 5


@dataclass(frozen=True)
class HairSegmenterConfig:
    """Sizes of a segmenter.

    Attributes:
        widths: channels at a half, a quarter … a thirty-second of the crop's side.
        blocks: residual blocks at each of these on the way down; one each follows on the way up.
        expansion: how much wider a block is inside.
        image_px: side of the square input, a multiple of 32.
    """

    widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 160)
    blocks: tuple[int, int, int, int, int] = (1, 1, 2, 3, 3)
    expansion: int = 2
    image_px: int = 256

    def __post_init__(self) -> None:
        if self.image_px <= 0 or self.image_px % 2**_HALVINGS:
            raise ValueError(
                f"image_px is {self.image_px}; expected a positive multiple of {2**_HALVINGS}, "
                f"because the image is halved {_HALVINGS} times."
            )


HAIR_SEGMENTER = HairSegmenterConfig()


class ClassLayer(nn.Conv2d):
    """A 1x1 convolution to logits, which are not all sure where weights are drawn."""

    random_gain = 0.2


class HairSegmenter(nn.Module):
    """A crop to logits of three classes that exclude each other."""

    def __init__(self, config: HairSegmenterConfig) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                *(Block(after, config.expansion) for _ in range(blocks)),
            )
            for before, after, blocks in zip(
                (3, *config.widths), config.widths, config.blocks, strict=False
            )
        )
        pairs = list(itertools.pairwise(config.widths))
        self.lowered = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.merged = nn.ModuleList(Block(fine, config.expansion) for fine, _ in pairs)
        self.classes = ClassLayer(config.widths[0], NUM_CLASSES, 1)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 256, 256), RGB in -1..1, to (B, 3, 256, 256) logits."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        for level in range(_HALVINGS - 2, -1, -1):
            above = self.upsample(self.lowered[level](x))
            x = self.merged[level](features[level] + above)
        return self.upsample(self.classes(x))  # type: ignore[no-any-return]


class Likelihoods(nn.Module):
    """A segmenter from raw crops to probabilities of hair and of the body."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, portrait: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 256, 256), RGB 0..255, to (B, 2, 256, 256) probabilities, 0..1."""
        logits = self.network((portrait - 127.5) / 127.5)
        return logits.softmax(dim=1)[:, 1:]  # type: ignore[no-any-return]
