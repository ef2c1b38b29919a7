# SPDX-License-Identifier: Apache-2.0
"""CompCNN: is an expression posed or spontaneous, by how its features change from onset to apex.

Paper    Xu et al. 2017, *Convolutional Neural Networks for Posed and Spontaneous Expression
         Recognition*. Section 3.1 has the comparison layer, whose two printed formulas have lost a
         minus sign and a Y, section 4.2 the baseline DiffCNN. Weights were never published.
Ours     what stood in its lost figures or nowhere: valid 5x5 kernels, 2x2 pools, 32, 64 and 128
         channels, 256 and 128 hidden units, ReLU behind every convolution and hidden layer, the
         order of the classes, and that the same neurons drop out in both paths.
Letters  B batch, C channels, H and W height and width, X features of the onset, Y of the apex,
         Z what comparing them gives.

Images are grey in -1..1, 44 pixels wide; mouth and eyes lie where training put them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

__all__ = [
    "CLASSES",
    "COMPARISONS",
    "POSITIONS",
    "SIX_LAYERS",
    "Comb",
    "CompCnn",
    "CompCnnConfig",
    "DiffCnn",
    "SixLayersConfig",
    "Sub",
    "difference_image",
]

CLASSES = ("posed", "spontaneous")  # in the order of all logits
COMPARISONS = ("sub", "comb")
POSITIONS = (1, 2, 3)
_POOL = 2


@dataclass(frozen=True)
class SixLayersConfig:
    """Sizes of three convolutions and three fully connected layers, the last of which is fixed.

    Attributes:
        widths: channels behind each convolution.
        kernels_px: sides of their kernels.
        hidden: widths of the first two fully connected layers.
        dropout: rates behind the three pools and these two layers, in training.
        image_px: side of the square image.
    """

    widths: tuple[int, int, int] = (32, 64, 128)
    kernels_px: tuple[int, int, int] = (5, 5, 5)
    hidden: tuple[int, int] = (256, 128)
    dropout: tuple[float, float, float, float, float] = (0.05, 0.15, 0.25, 0.5, 0.25)
    image_px: int = 44

    def __post_init__(self) -> None:
        if self.last_map_px < 1:
            raise ValueError(
                f"image_px {self.image_px} with kernels of {self.kernels_px} leaves nothing behind "
                "the third pool; expected a larger image or smaller kernels."
            )

    @property
    def last_map_px(self) -> int:
        """Side of the maps behind the third pool: 44, 40, 20, 16, 8, 4, 2."""
        px = self.image_px
        for kernel_px in self.kernels_px:
            px = (px - kernel_px + 1) // _POOL
        return px

    @property
    def flat(self) -> int:
        """How many features the first fully connected layer reads."""
        return self.widths[-1] * self.last_map_px**2


SIX_LAYERS = SixLayersConfig()  # 421,506 parameters, as DiffCNN and CompCNN-Sub@i have


@dataclass(frozen=True)
class CompCnnConfig:
    """CompCNN-Sub@i or CompCNN-Comb@i.

    Attributes:
        comparison: one of `COMPARISONS`.
        position: i, behind which pool the two paths are compared; 1 to 3.
        sizes: of everything else.
    """

    comparison: str
    position: int
    sizes: SixLayersConfig = SIX_LAYERS

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            raise ValueError(
                f"comparison is {self.comparison!r}; expected one of {', '.join(COMPARISONS)}."
            )
        if self.position not in POSITIONS:
            raise ValueError(
                f"position is {self.position}; expected 1, 2 or 3, the pool before the comparison."
            )


class Sub(nn.Module):
    """Z = X - Y."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compare twice (B, C, H, W) to (B, C, H, W)."""
        return x - y


class Comb(nn.Module):
    """Z^r = sum over k of alpha_rk X^k + beta_rk Y^k: one 1x1 convolution of both, without bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.combine = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compare twice (B, C, H, W) to (B, C, H, W)."""
        return self.combine(torch.cat([x, y], dim=1))  # type: ignore[no-any-return]

    @torch.no_grad()
    def reset_to_subtraction(self) -> None:
        """Set alpha = I and beta = -I, where the layer gives exactly what `Sub` does."""
        identity = torch.eye(self.combine.out_channels)
        self.combine.weight.copy_(torch.cat([identity, -identity], dim=1)[:, :, None, None])


class _Stage(nn.Module):
    """Convolution, ReLU, max pooling, dropout: for one path, or for two that share its weights."""

    def __init__(self, before: int, after: int, kernel_px: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel_px)
        self.pool = nn.MaxPool2d(_POOL)
        self.dropout = nn.Dropout(dropout)

    def forward(self, *paths: torch.Tensor) -> tuple[torch.Tensor, ...]:
        pooled = tuple(self.pool(torch.relu(self.convolution(x))) for x in paths)
        if not self.training:
            return pooled
        # Neurons that dropped out of one path only would look like a change of the face.
        kept = self.dropout(torch.ones_like(pooled[0]))
        return tuple(x * kept for x in pooled)


class _FullyConnected(nn.Module):
    """Two hidden layers, of which the second gives the features of the SVM, and the logits."""

    def __init__(self, sizes: SixLayersConfig) -> None:
        super().__init__()
        first, second = sizes.hidden
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(sizes.flat, first),
            nn.ReLU(),
            nn.Dropout(sizes.dropout[3]),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(sizes.dropout[4]),
        )
        self.classes = nn.Linear(second, len(CLASSES))

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.hidden(maps)
        return self.classes(features), features


def _stages(sizes: SixLayersConfig) -> nn.ModuleList:
    before = (1, *sizes.widths[:-1])
    shapes = zip(before, sizes.widths, sizes.kernels_px, sizes.dropout[:3], strict=True)
    return nn.ModuleList(_Stage(*shape) for shape in shapes)


class DiffCnn(nn.Module):
    """The paper's baseline: one path, over the difference of the two images."""

    def __init__(self, config: SixLayersConfig) -> None:
        super().__init__()
        self.stages = _stages(config)
        self.fully_connected = _FullyConnected(config)

    def forward(self, difference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge a difference of images.

        Args:
            difference: (B, 1, 44, 44) in -1..1, by `difference_image`.

        Returns:
            (B, 2) logits in the order of `CLASSES`, and (B, 128) features of the second hidden
            layer, 0 or more.
        """
        for stage in self.stages:
            (difference,) = stage(difference)
        return self.fully_connected(difference)  # type: ignore[no-any-return]


class CompCnn(nn.Module):
    """Two paths with the same weights, compared behind a pool; one path from there on."""

    def __init__(self, config: CompCnnConfig) -> None:
        super().__init__()
        self.position = config.position
        self.stages = _stages(config.sizes)
        channels = config.sizes.widths[config.position - 1]
        self.comparison: Comb | Sub = Comb(channels) if config.comparison == "comb" else Sub()
        self.fully_connected = _FullyConnected(config.sizes)

    def forward(self, onset: torch.Tensor, apex: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge an expression.

        Args:
            onset: (B, 1, 44, 44) in -1..1, the face where the expression begins.
            apex: (B, 1, 44, 44) in -1..1, where it is strongest.

        Returns:
            (B, 2) logits in the order of `CLASSES`, and (B, 128) features of the second hidden
            layer, 0 or more.
        """
        paths: tuple[torch.Tensor, ...] = (onset, apex)
        for place, stage in enumerate(self.stages, start=1):
            paths = stage(*paths)
            if place == self.position:
                paths = (torch.relu(self.comparison(*paths)),)
        return self.fully_connected(*paths)  # type: ignore[no-any-return]


def difference_image(onset: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
    """Take the apex from the onset, as `Sub` does with features.

    Args:
        onset: (B, 1, 44, 44) in -1..1.
        apex: (B, 1, 44, 44) in -1..1.

    Returns:
        (B, 1, 44, 44) in -1..1: halved, so that no difference leaves the range of an image.
    """
    return (onset - apex) / 2
