# SPDX-License-Identifier: Apache-2.0
"""What a person is made of, read off an embedding: a second task for the recogniser.

A class says only that two people differ. The parameters that they were made from say how, and new
people are made from the same ones; embeddings that hold them carry over to people never seen.

Letters  B batch, D length of an embedding.
"""

from __future__ import annotations

import torch
from torch import nn

from mien_starter.training.head_geometry import HeadDistance

__all__ = ["NUM_SHAPE", "PersonParameters"]

NUM_SHAPE = 100  # DECA's number; the rest of the 300 moves the face by less than 0.3 mm


class PersonParameters(nn.Module):
    """Linear readings of shape and texture, which leave with the training.

    Args:
        features: D.
        distance: of two heads, from 100 coefficients.
        shape: (N, 100) coefficients of the people in training.
        texture: (N, T) coefficients.
    """

    def __init__(
        self, features: int, distance: HeadDistance, shape: torch.Tensor, texture: torch.Tensor
    ) -> None:
        super().__init__()
        self._distance = distance
        self.shape = nn.Linear(features, shape.shape[1])
        self.texture = nn.Linear(features, texture.shape[1])
        usual_mm = distance(shape - shape.mean(dim=0)).mean()
        self.register_buffer("usual_mm", usual_mm, persistent=False)
        self.register_buffer("mean", texture.mean(dim=0), persistent=False)
        deviation = texture.std(dim=0).clamp_min(1e-3)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(
        self, features: torch.Tensor, shape: torch.Tensor, texture: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """How far the readings are off.

        Args:
            features: (B, D) of any length.
            shape: (B, 100) truth.
            texture: (B, T) truth.

        Returns:
            Distance of the heads as a share of that to the mean person's, and the smooth absolute
            error of the texture in standard deviations; both are about 1 where nothing is known.
        """
        mm = self._distance(self.shape(features) - shape).mean()
        standardised = (texture - self.get_buffer("mean")) / self.get_buffer("deviation")
        error = nn.functional.smooth_l1_loss(self.texture(features), standardised)
        return mm / self.get_buffer("usual_mm"), error
