# SPDX-License-Identifier: Apache-2.0
"""The iresnet recognition backbones of insightface, ElasticFace and MICA.

Source   insightface ``recognition/arcface_torch/backbones/iresnet.py``, ElasticFace
         ``backbones/iresnet.py``; attribute names are those of their checkpoints.
Letters  B batch, C channels, S side of the last feature map (image side / 16).

The family differs from IR-50 (``ir50.py``) in the shortcut of the first block, which here has
weights, and cannot be loaded from its files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class IResNetConfig:
    """Sizes of an iresnet.

    Attributes:
        blocks: residual blocks in each of the four stages.
        widths: channels of the four stages; the stem has as many as the first.
        num_features: length of the embedding.
        image_px: side of the square input, a multiple of 16.
    """

    blocks: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    num_features: int = 512
    image_px: int = 112

    def __post_init__(self) -> None:
        if self.image_px <= 0 or self.image_px % 16:
            raise ValueError(
                f"image_px is {self.image_px}; expected a positive multiple of 16, "
                "because four stages halve the image."
            )


IRESNET18 = IResNetConfig(blocks=(2, 2, 2, 2))
IRESNET34 = IResNetConfig(blocks=(3, 4, 6, 3))
IRESNET50 = IResNetConfig(blocks=(3, 4, 14, 3))
IRESNET100 = IResNetConfig(blocks=(3, 13, 30, 3))
# Small enough to train on a CPU: 0.25 GMAC per crop and 6.3 M parameters, of which the last layer
# (7 * 7 * 192 * 512) has 4.8 M.
IRESNET18_NARROW = IResNetConfig(blocks=(2, 2, 2, 2), widths=(16, 32, 96, 192))


class IBasicBlock(nn.Module):
    """bn1, 3x3, bn2, PReLU, 3x3 with stride, bn3; plus the shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        # The first block of every stage has stride 2, so this also covers 64 -> 64.
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        return y + self.downsample(x)  # type: ignore[no-any-return]  # nn.Module calls are Any


class IResNet(nn.Module):
    """Face backbone: normalised RGB crops to embeddings that are not yet of unit length."""

    def __init__(self, config: IResNetConfig) -> None:
        super().__init__()
        stem = config.widths[0]
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.prelu = nn.PReLU(stem)
        in_widths = (stem, *config.widths[:3])
        sizes = zip(in_widths, config.widths, config.blocks, strict=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(*size) for size in sizes)
        self.bn2 = nn.BatchNorm2d(config.widths[3])
        side = config.image_px // 16  # 112 / 16 = 7
        self.fc = nn.Linear(config.widths[3] * side * side, config.num_features)
        self.features = nn.BatchNorm1d(config.num_features)
        # Fixed to 1 upstream; it is in the files, so it stays a parameter, but is not trained.
        self.features.weight.requires_grad = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 112, 112), RGB in -1..1, to (B, 512)."""
        x = self.prelu(self.bn1(self.conv1(x)))  # (B, 64, 112, 112)
        x = self.layer1(x)  # (B, 64, 56, 56)
        x = self.layer2(x)  # (B, 128, 28, 28)
        x = self.layer3(x)  # (B, 256, 14, 14)
        x = self.layer4(x)  # (B, 512, 7, 7)
        x = torch.flatten(self.bn2(x), 1)  # (B, 25088), channel-major
        return self.features(self.fc(x))  # type: ignore[no-any-return]  # (B, 512)


def _stage(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    first = IBasicBlock(in_channels, channels, stride=2)
    rest = (IBasicBlock(channels, channels, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
