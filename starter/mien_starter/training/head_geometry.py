# SPDX-License-Identifier: Apache-2.0
"""Distances between heads in millimetres, for training: cheap, and with gradients.

Letters  B batch, V vertices, K coefficients.

Vertices are linear in coefficients, so the mean square distance of two heads is a quadratic form of
the difference of their coefficients; its matrix is small and made once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.head_model import HeadModel

__all__ = ["HeadDistance", "full_codes", "vertex_weights"]

_MM = 1000.0
# Of vertices outside the face: what nobody sees in a photograph should not dominate.
_ELSEWHERE = 0.1
# Keeps the root's gradient finite where two heads are equal; a micrometre.
_SMALLEST_MM2 = 1e-6


def vertex_weights(head: HeadModel) -> NDArray[np.float64]:
    """(V,) shares that add up to 1: the face counts ten times the rest."""
    face = head.regions.get("face", np.ones(head.num_vertices, bool))
    weights = np.where(face, 1.0, _ELSEWHERE)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


class HeadDistance(nn.Module):
    """Root mean square distance of the vertices of two heads.

    Args:
        basis: (V, 3, K) metres per unit of a coefficient.
        weights: (V,) shares of the vertices.
    """

    def __init__(self, basis: NDArray[np.float32], weights: NDArray[np.float64]) -> None:
        super().__init__()
        rows = (basis.astype(np.float64) * np.sqrt(weights)[:, None, None]).reshape(
            -1, basis.shape[-1]
        )
        gram = torch.from_numpy((rows.T @ rows * _MM**2).astype(np.float32))
        self.register_buffer("gram", gram, persistent=False)

    def forward(self, difference: torch.Tensor) -> torch.Tensor:
        """Map (B, K) differences of coefficients to (B,) millimetres."""
        square = ((difference @ self.get_buffer("gram")) * difference).sum(dim=1)
        return (square.clamp_min(0) + _SMALLEST_MM2).sqrt()


def full_codes(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a head decoder needs of (B, 236) codes: the coefficients they lack are zero.

    Returns:
        (B, 300) shape, (B, 100) expression, (B, 15) pose with neck and eyes at rest.
    """
    pad = nn.functional.pad
    shape, expression = pad(codes[:, :100], (0, 200)), pad(codes[:, 150:200], (0, 50))
    pose = torch.cat([pad(codes[:, 200:203], (0, 3)), pad(codes[:, 203:206], (0, 6))], dim=1)
    return shape, expression, pose
