# SPDX-License-Identifier: Apache-2.0
"""VGG-Face: VGG16 trained on faces, and the network that domain adaptation starts from.

Paper    Parkhi et al. 2015, *Deep Face Recognition*, table 3, configuration D; layers have the
         names of its Caffe release. Adaptation of it: a domain adaptation network reads fc6 and
         fc7 (its equation 4).
Ours     which of a layer's values are read: those behind ReLU and before dropout, everywhere.
Letters  B batch, C channels, S side of the last feature map (image side / 32).

Images are RGB in 0..255 minus `VGG_FACE_MEAN_RGB`, without a deviation. Files made for Caffe expect
BGR; their first kernel is turned around when they are loaded (``vgg_face_files.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

VGG_FACE_MEAN_RGB = (129.1863, 104.7624, 93.5940)  # of the training images, 0..255


@dataclass(frozen=True)
class VggFaceConfig:
    """Sizes of a VGG.

    Attributes:
        widths: channels of the five blocks.
        depths: convolutions in each of them.
        hidden: widths of fc6 and fc7; the latter is the length of the embedding.
        num_classes: people that fc8 tells apart in training; None is a network without it, as the
            exported graph is.
        dropout: rate behind fc6 and behind fc7, in training.
        image_px: side of the square input, a multiple of 32.
    """

    widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    depths: tuple[int, int, int, int, int] = (2, 2, 3, 3, 3)
    hidden: tuple[int, int] = (4096, 4096)
    num_classes: int | None = None
    dropout: float = 0.5
    image_px: int = 224

    def __post_init__(self) -> None:
        if self.image_px <= 0 or self.image_px % 32:
            raise ValueError(
                f"image_px is {self.image_px}; expected a positive multiple of 32, "
                "because five pools halve the image."
            )
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(
                f"num_classes is {self.num_classes}; expected 1 or more, or None for no classifier."
            )

    @property
    def convolutions(self) -> tuple[tuple[str, ...], ...]:
        """Names of the convolutions, block by block: conv1_1 to conv5_3."""
        blocks = enumerate(self.depths, start=1)
        return tuple(tuple(f"conv{i}_{j}" for j in range(1, n + 1)) for i, n in blocks)

    @property
    def flat(self) -> int:
        """How many values fc6 reads: 512 * 7 * 7."""
        return self.widths[-1] * (self.image_px // 32) ** 2


VGG_FACE = VggFaceConfig()
# Small enough to train on a CPU: 0.25 GMAC per crop, a sixtieth of VGG-Face, and 5.8 M parameters,
# of which fc6 (64 * 7 * 7 * 1536) has 4.8 M. The image stays at 224 px, so that one contract, one
# alignment and one recipe serve both; an eighth of the widths makes it cheap.
VGG_FACE_NARROW = VggFaceConfig(widths=(8, 16, 32, 64, 64), hidden=(1536, 512))


class VggFeatures(NamedTuple):
    """What the fully connected layers give, (B, hidden) each.

    Attributes:
        fc6_linear: fc6 before ReLU; only for comparing with other programs.
        fc6: behind ReLU, 0 or more: what adaptation compares between domains.
        fc7_linear: fc7 before ReLU; only for comparing with other programs.
        fc7: behind ReLU, 0 or more: the embedding, not yet of unit length, and what adaptation
            compares between domains.
    """

    fc6_linear: torch.Tensor
    fc6: torch.Tensor
    fc7_linear: torch.Tensor
    fc7: torch.Tensor


class VggFace(nn.Module):
    """Face backbone: images minus their mean to the features of fc6 and fc7."""

    def __init__(self, config: VggFaceConfig) -> None:
        super().__init__()
        self.convolutions = config.convolutions
        before = 3
        for names, width in zip(config.convolutions, config.widths, strict=True):
            for name in names:
                self.add_module(name, nn.Conv2d(before, width, 3, padding=1))
                before = width
        first, second = config.hidden
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(config.dropout)
        self.fc6 = nn.Linear(config.flat, first)
        self.fc7 = nn.Linear(first, second)
        classes = config.num_classes
        self.fc8 = nn.Linear(second, classes) if classes is not None else None

    def forward(self, x: torch.Tensor) -> VggFeatures:
        """Map (B, 3, 224, 224), RGB minus the mean, to the features."""
        for names in self.convolutions:  # (B, 64, 112, 112) ... (B, 512, 7, 7)
            for name in names:
                x = torch.relu(self.get_submodule(name)(x))
            x = self.pool(x)
        fc6_linear = self.fc6(torch.flatten(x, 1))  # (B, 25088), channel-major
        fc6 = torch.relu(fc6_linear)
        fc7_linear = self.fc7(self.dropout(fc6))
        return VggFeatures(fc6_linear, fc6, fc7_linear, torch.relu(fc7_linear))

    def logits(self, features: VggFeatures) -> torch.Tensor:
        """Give (B, num_classes) logits of the people in training, by fc8.

        Raises:
            ValueError: the network has no fc8.
        """
        if self.fc8 is None:
            raise ValueError(
                "this network has no fc8; make it with num_classes to train or to classify."
            )
        return self.fc8(self.dropout(features.fc7))  # type: ignore[no-any-return]
