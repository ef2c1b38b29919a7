# SPDX-License-Identifier: Apache-2.0
"""Losses of landmarks, in units of the distance between the eyes.

Letters  B batch, P points.
"""

from __future__ import annotations

import math

import torch

__all__ = ["landmark_unit", "wing_loss"]

# Feng et al. 2018, "Wing Loss for Robust Facial Landmark Localisation with CNNs", equation 5, with
# w and epsilon as shares of the distance between the eyes.
_WIDTH, _CURVATURE = 0.15, 0.02
# In profile the eyes coincide; the size of the face then takes over.
_SMALLEST_SHARE = 0.4


def landmark_unit(landmarks_68: torch.Tensor) -> torch.Tensor:
    """Length that the errors of a face are measured in, of (B, 68, 2) landmarks.

    (B,) distance between the outer eye corners, about 0.6 of the face's longer side in a frontal
    view, and at least 0.4 of it in any other.
    """
    eyes: torch.Tensor = torch.linalg.vector_norm(landmarks_68[:, 45] - landmarks_68[:, 36], dim=1)
    box = (landmarks_68.amax(dim=1) - landmarks_68.amin(dim=1)).amax(dim=1)
    return torch.maximum(eyes, _SMALLEST_SHARE * box)


def wing_loss(found: torch.Tensor, truth: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Wing loss of points, steep near zero, linear where far off.

    Args:
        found: (B, P, 2).
        truth: (B, P, 2).
        unit: (B,) length that errors are measured in.

    Returns:
        (B,) mean over points and coordinates.
    """
    error = (found - truth).abs() / unit[:, None, None]
    offset = _WIDTH - _WIDTH * math.log1p(_WIDTH / _CURVATURE)
    curved = _WIDTH * torch.log1p(error / _CURVATURE)
    return torch.where(error < _WIDTH, curved, error - offset).mean(dim=(1, 2))
