# SPDX-License-Identifier: Apache-2.0
"""mien's own landmark network: 68 and 5 points of a face, and whether there is one.

Letters  B batch, C channels, P points (73 = 68 + 5), G cells of the voting grid (16 x 16).

A trunk of residual blocks halves the image to 8 x 8, where every cell sees the whole crop; what it
knows there is added back to the 16 x 16 features. Each of their cells then votes for every point:
with an offset from its own centre, and with a weight; the weights of a point add up to one
(Xiong et al. 2019, *A2J: Anchor-to-Joint Regression Network*, equation 1, is this vote in depth
images). Moving the face by a cell moves the votes by one, as with heatmaps, but a vote is not bound
to a cell: points between cells, at the border and beyond it need no finer grid. Offsets are counted
in cells and all votes begin near zero, so that a training first learns whom to believe: on drawn
faces that brought the error after equal work from 3.5 to 2.2 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

NUM_LANDMARKS_68 = 68
NUM_LANDMARKS = 5
NUM_POINTS = NUM_LANDMARKS_68 + NUM_LANDMARKS


@dataclass(frozen=True)
class LandmarkerConfig:
    """Sizes of a landmarker.

    Attributes:
        widths: channels at a half, a quarter, an eighth and a sixteenth of the image's side.
        blocks: residual blocks at each of these.
        expansion: how much wider a block is inside.
        image_px: side of the square input, a multiple of 16.
    """

    widths: tuple[int, int, int, int] = (16, 32, 48, 96)
    blocks: tuple[int, int, int, int] = (0, 1, 3, 3)
    expansion: int = 2
    image_px: int = 128

    def __post_init__(self) -> None:
        if self.image_px <= 0 or self.image_px % 16:
            raise ValueError(
                f"image_px is {self.image_px}; expected a positive multiple of 16, "
                "because the image is halved four times."
            )


# 39 MMAC per 128 x 128 crop, 0.24 M parameters.
LANDMARKER = LandmarkerConfig()

_FIRST_VOTES = 0.01  # deviation of the weights that votes are made with, before training


class Block(nn.Module):
    """5x5 per channel, 1x1 wider, ReLU, 1x1 back, added to the input."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 5, 1, 2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.layers(x)  # type: ignore[no-any-return]


class VoteLayer(nn.Conv2d):
    """A 1x1 convolution to weights and offsets, which begin near zero."""

    random_gain = 0.05  # of the features' deviation, where weights are drawn


class FaceLandmarker(nn.Module):
    """A crop to points and a logit; small enough for one CPU core per stream of faces."""

    def __init__(self, config: LandmarkerConfig) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = config.widths
        self.stages = nn.ModuleList(
            nn.Sequential(
                _halving(before, after),
                *(Block(after, config.expansion) for _ in range(blocks)),
            )
            for before, after, blocks in zip(
                (3, half, quarter, eighth), config.widths, config.blocks, strict=True
            )
        )
        self.context = nn.Conv2d(sixteenth, eighth, 1)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.merge = Block(eighth, config.expansion)
        self.votes = VoteLayer(eighth, 3 * NUM_POINTS, 1)
        nn.init.normal_(self.votes.weight, std=_FIRST_VOTES)
        self.face = nn.Linear(sixteenth, 1)
        side = config.image_px // 8
        self.cell = 2 / side
        self.register_buffer("centres", _cell_centres(side), persistent=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the points of one face per crop.

        Args:
            x: (B, 3, 128, 128), RGB in -1..1.

        Returns:
            (B, 73, 2) x and y, the 68 points before the 5; -1 and 1 are the outer edges of the
            crop, and points may lie beyond them. (B, 1) logit of there being a face.
        """
        half, quarter, eighth, sixteenth = self.stages
        fine = eighth(quarter(half(x)))  # (B, C, 16, 16)
        coarse = sixteenth(fine)  # (B, C', 8, 8)
        features = self.merge(fine + self.upsample(self.context(coarse)))
        weights, offsets = self._split(self.votes(features))  # (B, P, 1, G), (B, P, 2, G)
        places = self.get_buffer("centres") + self.cell * offsets  # (B, P, 2, G)
        points = (weights.softmax(dim=-1) * places).sum(dim=-1)  # (B, P, 2)
        return points, self.face(coarse.mean(dim=(2, 3)))

    def _split(self, votes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cells = votes.shape[2] * votes.shape[3]
        votes = votes.reshape(-1, NUM_POINTS, 3, cells)  # (B, P, 3, G)
        return votes[:, :, :1], votes[:, :, 1:]


def _halving(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


def _cell_centres(side: int) -> torch.Tensor:
    # (2, G): x and y of every cell, row by row; centre of cell i at (2 i + 1) / side - 1.
    places = (2 * torch.arange(side) + 1) / side - 1
    y, x = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()])
