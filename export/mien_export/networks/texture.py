# SPDX-License-Identifier: Apache-2.0
"""A linear albedo space as a graph: 50 coefficients to an albedo map.

Letters  B batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mien_export.texture_space import NUM_TEXTURE, SIDE_PX, TextureSpace


class Texture(nn.Module):
    """The albedo decoder; all numbers come from a ``TextureSpace``."""

    def __init__(self, space: TextureSpace) -> None:
        super().__init__()
        planes = space.basis.transpose(3, 2, 0, 1).reshape(NUM_TEXTURE, -1)  # channels first
        mean = space.mean.transpose(2, 0, 1).reshape(1, -1)
        self.register_buffer("mean", torch.from_numpy(np.ascontiguousarray(mean)))
        self.register_buffer("basis", torch.from_numpy(np.ascontiguousarray(planes)))

    def forward(self, texture: torch.Tensor) -> torch.Tensor:
        """Map (B, 50) coefficients of unit variance to (B, 3, 256, 256) RGB, clamped to 0..1."""
        flat = self.get_buffer("mean") + torch.mm(texture, self.get_buffer("basis"))
        return flat.clamp(0.0, 1.0).reshape(-1, 3, SIDE_PX, SIDE_PX)
