# SPDX-License-Identifier: Apache-2.0
"""The ArcFace loss: identities as directions, with a margin between them.

Paper    Deng et al. 2019, *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*,
         equation 3.
Letters  B batch, C identities, D length of an embedding.
"""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["ArcFace"]


class ArcFace(nn.Module):
    """One direction per identity; the loss is what the margin leaves of their cosines.

    Args:
        identities: C.
        features: D.
    """

    def __init__(self, identities: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(identities, features) * 0.05)

    def forward(
        self, features: torch.Tensor, identity: torch.Tensor, margin: float, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compare embeddings with all identities.

        Args:
            features: (B, D) of any length.
            identity: (B,) which one each is, 0..C-1.
            margin: radians that are added to the angle between an embedding and its own identity.
            scale: of the cosines in the softmax.

        Returns:
            Mean cross-entropy, and the share whose own identity is the nearest without a margin.
        """
        normalize = nn.functional.normalize
        cosine = normalize(features) @ normalize(self.weight).T  # (B, C)
        own = cosine.gather(1, identity[:, None])
        sine = (1 - own.square()).clamp_min(1e-6).sqrt()
        moved = own * math.cos(margin) - sine * math.sin(margin)
        # Beyond pi - margin the sum would pass pi and the cosine rise again.
        moved = torch.where(own > -math.cos(margin), moved, own - margin * math.sin(margin))
        logits = scale * cosine.scatter(1, identity[:, None], moved)
        right = (cosine.detach().argmax(dim=1) == identity).float().mean()
        return nn.functional.cross_entropy(logits, identity), right
