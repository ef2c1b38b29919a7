# SPDX-License-Identifier: Apache-2.0
"""How different two pictures look to a face recogniser, from fine to coarse.

Paper    Zhang et al. 2018, *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*
         (LPIPS), equation 1, without the learned weights of channels: its own weights may not be
         shipped, so the features are those of the starter recogniser.
Letters  B batch, C channels, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from mien_export.networks.iresnet import IResNet
from mien_starter.training.fast_prelu import with_fast_prelu
from mien_starter.training.wide_convolutions import with_wide_convolutions

__all__ = ["PerceptualDistance"]

_SMALLEST_NORM = 1e-6


class PerceptualDistance(nn.Module):
    """Distance of the features of a frozen iresnet: of the stem and the first three stages.

    These are convolutions, so any part of a face will do, at the scale of the aligned crop and with
    sides that are multiples of 8. Deeper ones know the whole crop and do not care for details.

    Args:
        trunk: in evaluation mode, fed RGB in -1..1; it is changed for speed and no longer trained.
    """

    def __init__(self, trunk: IResNet) -> None:
        super().__init__()
        self._trunk = with_wide_convolutions(with_fast_prelu(trunk))
        for parameter in self.parameters():
            parameter.requires_grad = False

    def forward(self, found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Compare (B, 3, H, W) with (B, 3, H, W), RGB in -1..1.

        Returns:
            Squared distance of feature vectors of unit length, 0 to 4; mean over pixels, samples
            and stages. Gradients go to `found` only.
        """
        with torch.no_grad():
            wanted = [_directions(features) for features in self._stages(truth)]
        distances = [
            (_directions(features) - target).square().sum(dim=1).mean()
            for features, target in zip(self._stages(found), wanted, strict=True)
        ]
        return torch.stack(distances).mean()

    def _stages(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        trunk = self._trunk
        assert isinstance(trunk, IResNet)
        x = trunk.prelu(trunk.bn1(trunk.conv1(x)))  # (B, C, H, W)
        yield x
        for stage in (trunk.layer1, trunk.layer2, trunk.layer3):  # each halves the picture
            x = stage(x)
            yield x


def _directions(features: torch.Tensor) -> torch.Tensor:
    features = features.float()
    length: torch.Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (length + _SMALLEST_NORM)
