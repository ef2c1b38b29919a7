# SPDX-License-Identifier: Apache-2.0
"""MorphFace's style encoder: maps of a fitted head to the style context.

Paper    *Data Synthesis with Diverse Styles for Face Recognition via 3DMM-Guided Diffusion*
         (MorphFace, arXiv 2504.00430), supplement figure 11: two convolutions and a linear layer.
         Sizes and nonlinearity are not published; strides of four keep the linear layer at 2 M
         parameters, strides of two would make it 34 M.
Letters  B batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

NUM_STYLE_MAPS = 9  # normals 3, albedo 3, Lambertian 3
STYLE_MAPS_PX = 128
NUM_CONTEXT = 512
# Symmetric with this padding, overlapping, and no pixel at the edge is left out.
_KERNEL, _STRIDE, _PADDING = 6, 4, 1


@dataclass(frozen=True)
class StyleEncoderConfig:
    """Sizes of a style encoder.

    Attributes:
        widths: channels after the first and the second convolution.
        outputs: length of the style context.
    """

    widths: tuple[int, int] = (32, 64)
    outputs: int = NUM_CONTEXT


STYLE_ENCODER = StyleEncoderConfig()
STYLE_ENCODER_STARTER = StyleEncoderConfig(widths=(16, 32))  # 1.1 M parameters


class StyleEncoder(nn.Module):
    """Two strided convolutions, a linear layer; the context comes out without activation."""

    def __init__(self, config: StyleEncoderConfig) -> None:
        super().__init__()
        first, second = config.widths
        side = STYLE_MAPS_PX // _STRIDE**2  # 8
        self.conv1 = nn.Conv2d(NUM_STYLE_MAPS, first, _KERNEL, _STRIDE, _PADDING)
        self.conv2 = nn.Conv2d(first, second, _KERNEL, _STRIDE, _PADDING)
        self.linear = nn.Linear(second * side * side, config.outputs)

    def forward(self, style_maps: torch.Tensor) -> torch.Tensor:
        """Map (B, 9, 128, 128) maps as the style renderer gives them to (B, 512)."""
        x = nn.functional.silu(self.conv1(style_maps))  # (B, 32, 32, 32)
        x = nn.functional.silu(self.conv2(x))  # (B, 64, 8, 8)
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]  # (B, 512)
