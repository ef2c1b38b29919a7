# SPDX-License-Identifier: Apache-2.0
"""DECA's encoders: a face crop to codes, one class for the coarse, the detail and small ones.

Source   DECA ``decalib/models/encoders.py`` and ``resnet.py``; attribute names are those of the
         entries ``E_flame`` and ``E_detail`` of ``deca_model.tar``, which are torchvision's.
Paper    Feng et al. 2021, *Learning an Animatable Detailed 3D Face Model from In-The-Wild Images*,
         section 4.1; He et al. 2016 for the residual blocks.
Letters  B batch, C channels, W base width, E expansion of a block (4 bottleneck, 1 basic).

Order of the 236 coarse codes: shape 0:100, texture 100:150, expression 150:200, pose 200:206
(global 3, jaw 3, axis-angle), camera 206:209 (s, tx, ty), light 209:236 (nine bands of RGB).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

NUM_CODES = 236
NUM_DETAIL_CODES = 128


@dataclass(frozen=True)
class DecaEncoderConfig:
    """Sizes of an encoder; the defaults are those of the published coarse one.

    Attributes:
        outputs: codes.
        block: ``bottleneck`` as in ResNet-50, or ``basic`` as in ResNet-18.
        blocks: residual blocks in each of the four stages.
        base_width: channels of the stem; stage k is 2^k times as wide inside its blocks.
        hidden: width of the layer between the pooled features and the codes.
        shrink: side of the squares of pixels that are averaged before the stem.
    """

    outputs: int = NUM_CODES
    block: Literal["bottleneck", "basic"] = "bottleneck"
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    base_width: int = 64
    hidden: int = 1024
    shrink: int = 1

    def __post_init__(self) -> None:
        if self.block not in _BLOCKS:
            raise ValueError(f"block is {self.block!r}; expected one of {', '.join(_BLOCKS)}.")


class Bottleneck(nn.Module):
    """1x1, 3x3 with stride, 1x1 to four times the width; plus the shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + self.downsample(x))  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """3x3 with stride, 3x3; plus the shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + self.downsample(x))  # type: ignore[no-any-return]


_BLOCKS: dict[str, type[Bottleneck] | type[BasicBlock]] = {
    "bottleneck": Bottleneck,
    "basic": BasicBlock,
}

DECA_COARSE = DecaEncoderConfig()
DECA_DETAIL = DecaEncoderConfig(outputs=NUM_DETAIL_CODES)
# 0.25 GMAC per image; the published ones have 4.09. The coarse one takes half the pixels of a side
# and twice the channels of the detail one: 384 averaged features for its 236 codes, not 192.
DECA_COARSE_STARTER = DecaEncoderConfig(
    block="basic", blocks=(1, 2, 2, 2), base_width=48, hidden=512, shrink=2
)
DECA_DETAIL_STARTER = DecaEncoderConfig(
    outputs=NUM_DETAIL_CODES, block="basic", blocks=(1, 2, 2, 2), base_width=24, hidden=512
)


class ResNet(nn.Module):
    """A residual trunk without a classifier, under torchvision's names."""

    def __init__(self, config: DecaEncoderConfig) -> None:
        super().__init__()
        block, stem = _BLOCKS[config.block], config.base_width
        self.shrink = nn.AvgPool2d(config.shrink) if config.shrink > 1 else nn.Identity()
        self.conv1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [stem * 2**k for k in range(4)]
        in_channels = [stem, *(width * block.expansion for width in widths[:3])]
        self.layer1 = _stage(block, in_channels[0], widths[0], config.blocks[0], stride=1)
        self.layer2 = _stage(block, in_channels[1], widths[1], config.blocks[1], stride=2)
        self.layer3 = _stage(block, in_channels[2], widths[2], config.blocks[2], stride=2)
        self.layer4 = _stage(block, in_channels[3], widths[3], config.blocks[3], stride=2)
        self.num_features = widths[3] * block.expansion

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 224, 224), RGB 0..1, to (B, 8 W E) averaged features.

        Sizes below are those without shrinking.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.shrink(x)))))  # (B, W, 56, 56)
        x = self.layer1(x)  # (B, W E, 56, 56)
        x = self.layer2(x)  # (B, 2 W E, 28, 28)
        x = self.layer3(x)  # (B, 4 W E, 14, 14)
        x = self.layer4(x)  # (B, 8 W E, 7, 7)
        return x.mean(dim=(2, 3))  # (B, 8 W E): the 7 x 7 average pooling at 224


class CodeLayer(nn.Linear):
    """A linear layer to codes of unit variance, at the end of features that have grown."""

    random_gain = 0.01  # of the features' deviation, where weights are drawn


class DecaEncoder(nn.Module):
    """The trunk and two linear layers; codes come out as they are, without activation."""

    def __init__(self, config: DecaEncoderConfig) -> None:
        super().__init__()
        self.encoder = ResNet(config)
        self.layers = nn.Sequential(
            nn.Linear(self.encoder.num_features, config.hidden),
            nn.ReLU(),
            CodeLayer(config.hidden, config.outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 224, 224), RGB 0..1 without mean or deviation, to (B, outputs)."""
        return self.layers(self.encoder(x))  # type: ignore[no-any-return]


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


def _stage(
    block: type[Bottleneck] | type[BasicBlock],
    in_channels: int,
    width: int,
    blocks: int,
    *,
    stride: int,
) -> nn.Sequential:
    first = block(in_channels, width, stride)
    rest = (block(width * block.expansion, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
