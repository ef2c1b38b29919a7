# SPDX-License-Identifier: Apache-2.0
"""DECA's detail generator: jaw, expression and detail codes to a UV displacement map.

Source   DECA ``decalib/models/decoders.py``; attribute names are those of the entry ``D_detail``
         of ``deca_model.tar``.
Paper    Feng et al. 2021, section 4.2: F_d(delta, psi, theta_jaw).
Letters  B batch, C channels.

The BatchNorms behind the five upsampled convolutions have eps 0.8: upstream passes it where the
number is meant for another argument, and its weights were trained with it. The usual 1e-5 would
give a visibly different map, so it is kept; only the first one has the usual value.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

NUM_CONDITIONS = 181  # jaw 3 + expression 50 + detail 128
MAX_DISPLACEMENT_M = 0.01
UPSAMPLED_EPS = 0.8


@dataclass(frozen=True)
class DetailGeneratorConfig:
    """Sizes of a detail generator; the defaults are the published ones.

    Attributes:
        inputs: codes that condition it.
        widths: channels at 8 x 8 and behind each of the five doublings up to 256 x 256.
    """

    inputs: int = NUM_CONDITIONS
    widths: tuple[int, int, int, int, int, int] = (128, 128, 64, 64, 32, 16)


DETAIL_GENERATOR = DetailGeneratorConfig()
# 0.22 GMAC and 0.82 M parameters: half the channels everywhere; the published one has 0.88 GMAC.
DETAIL_GENERATOR_STARTER = DetailGeneratorConfig(widths=(64, 64, 32, 32, 16, 8))

_FIRST_SIDE = 8  # 8 * 2^5 = 256
_SLOPE = 0.2


class DetailGenerator(nn.Module):
    """A linear layer to 8 x 8 features, five doublings, and a bounded output."""

    def __init__(self, config: DetailGeneratorConfig) -> None:
        super().__init__()
        first, last = config.widths[0], config.widths[-1]
        self.first_width = first
        self.l1 = nn.Sequential(nn.Linear(config.inputs, first * _FIRST_SIDE**2))
        pairs = itertools.pairwise(config.widths)
        doublings = [layer for pair in pairs for layer in _doubling(*pair)]
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(first), *doublings, nn.Conv2d(last, 1, 3, 1, 1), nn.Tanh()
        )

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Map (B, 181) to (B, 1, 256, 256) metres along the normal, within +-0.01."""
        x = self.l1(codes)
        x = x.reshape(-1, self.first_width, _FIRST_SIDE, _FIRST_SIDE)  # (B, C, 8, 8)
        x = self.conv_blocks(x)  # (B, 1, 256, 256), -1..1
        return x * MAX_DISPLACEMENT_M  # type: ignore[no-any-return]


def _doubling(in_channels: int, channels: int) -> list[nn.Module]:
    return [
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.Conv2d(in_channels, channels, 3, 1, 1),
        nn.BatchNorm2d(channels, eps=UPSAMPLED_EPS),
        nn.LeakyReLU(_SLOPE),
    ]
