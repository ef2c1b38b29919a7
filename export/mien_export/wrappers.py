# SPDX-License-Identifier: Apache-2.0
"""Export-only modules: preprocessing and normalisation become part of the graph.

Every graph takes RGB in 0..255, so no caller can normalise twice or swap colours.
"""

from __future__ import annotations

import torch
from torch import nn

# Keeps the norm of an all-zero feature from dividing by zero; far below any real norm.
_SMALLEST_NORM = 1e-12


class FaceRecognizer(nn.Module):
    """A recognition backbone from raw crops to embeddings of unit length.

    ArcFace, ElasticFace and TFace are fed RGB, AdaFace BGR; both scale by (x - 127.5) / 127.5.
    """

    def __init__(self, backbone: nn.Module, *, is_bgr: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.is_bgr = is_bgr
        self.register_buffer("bgr_from_rgb", torch.tensor([2, 1, 0]), persistent=False)

    def forward(self, crop_112: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 112, 112), RGB 0..255, to (B, 512) of unit length."""
        x = (crop_112 - 127.5) / 127.5
        if self.is_bgr:
            x = torch.index_select(x, 1, self.get_buffer("bgr_from_rgb"))
        features = self.backbone(x)
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features / norm.clamp_min(_SMALLEST_NORM)  # type: ignore[no-any-return]
