# SPDX-License-Identifier: Apache-2.0
"""The IR-50 recognition backbone of TFace, face.evoLVe and AdaFace.

Source   TFace ``recognition/torchkit/backbone/model_irse.py``, AdaFace ``net.py``; attribute
         names are those of their checkpoints.
Letters  B batch, C channels.

Not iresnet50 (``iresnet.py``): where a unit keeps its channels the shortcut here is a strided pick
without weights, and the last BatchNorm has none either. The original face.evoLVe files lack the
BatchNorm between the two convolutions of a unit; they are another network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class IRConfig:
    """Sizes of an IR backbone.

    Attributes:
        blocks: units in each of the four stages.
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


IR50 = IRConfig(blocks=(3, 4, 14, 3))


class BottleneckIR(nn.Module):
    """BN, 3x3, BN, PReLU, 3x3 with stride, BN; plus the shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        if in_channels == channels:
            self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)  # every second pixel
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        return self.res_layer(x) + self.shortcut_layer(x)  # type: ignore[no-any-return]


class IRBackbone(nn.Module):
    """Face backbone: normalised crops to embeddings that are not yet of unit length."""

    def __init__(self, config: IRConfig) -> None:
        super().__init__()
        stem, last = config.widths[0], config.widths[3]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem), nn.PReLU(stem)
        )
        in_widths = (stem, *config.widths[:3])
        sizes = zip(in_widths, config.widths, config.blocks, strict=True)
        self.body = nn.Sequential(*(unit for size in sizes for unit in _stage(*size)))
        side = config.image_px // 16  # 112 / 16 = 7
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(last),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(last * side * side, config.num_features),
            nn.BatchNorm1d(config.num_features, affine=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 112, 112), in -1..1, to (B, 512)."""
        x = self.input_layer(x)  # (B, 64, 112, 112)
        x = self.body(x)  # (B, 512, 7, 7)
        return self.output_layer(x)  # type: ignore[no-any-return]  # (B, 512)


def _stage(in_channels: int, channels: int, blocks: int) -> list[BottleneckIR]:
    first = BottleneckIR(in_channels, channels, stride=2)
    return [first, *(BottleneckIR(channels, channels, stride=1) for _ in range(blocks - 1))]
