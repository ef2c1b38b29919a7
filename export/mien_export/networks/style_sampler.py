# SPDX-License-Identifier: Apache-2.0
"""A normal distribution of DECA's codes as a graph: noise to codes.

Letters  B batch.
"""

from __future__ import annotations

import torch
from torch import nn

from mien_export.style_distribution import StyleDistribution

# Of the codes: the scale of the camera. One turned inside out shows nothing.
CAMERA_SCALE = 206
SMALLEST_SCALE_SHARE = 0.5


class StyleSampler(nn.Module):
    """The sampler; all numbers come from a ``StyleDistribution``."""

    def __init__(self, distribution: StyleDistribution) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(distribution.mean))
        self.register_buffer("factor", torch.from_numpy(distribution.factor.T.copy()))
        smallest = torch.full_like(self.get_buffer("mean"), -torch.inf)
        smallest[CAMERA_SCALE] = SMALLEST_SCALE_SHARE * self.get_buffer("mean")[CAMERA_SCALE]
        self.register_buffer("smallest", smallest)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Map (B, 236) of unit variance to (B, 236) codes, the camera's scale kept off zero."""
        codes = self.get_buffer("mean") + torch.mm(noise, self.get_buffer("factor"))
        return torch.maximum(codes, self.get_buffer("smallest"))
