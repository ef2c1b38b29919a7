# SPDX-License-Identifier: Apache-2.0
"""What stands before and behind a hair VAE: features of HairNet's map, and points of its strands.

Letters  B batch, K steps of a strand, P its points (100), S strands.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import nn

__all__ = [
    "NUM_POINTS",
    "SIDE",
    "LatentOfMap",
    "StrandsFromSteps",
    "StrandsOfLatent",
    "features_of",
]

SIDE, NUM_POINTS = 32, 100
# Of red in 0..1, a half being body: from here on it counts as hair, and at 1 entirely.
_SOME_HAIR = 0.6


def features_of(orientation_map: torch.Tensor) -> torch.Tensor:
    """HairNet's colours as a network should see them.

    The encoding jumps from one end of blue to the other where a line passes the level; cosine and
    sine of the doubled angle do not.

    Args:
        orientation_map: (B, 3, 256, 256) RGB 0..255: red 0, 128 on the body or 255 on hair, green y
            and blue x / 2 + 0.5 of the direction.

    Returns:
        (B, 3, 256, 256): 0, a half, 1; x^2 - y^2; 2 x y, both 0 where there is no hair.
    """
    red, green, blue = (orientation_map / 255).unbind(dim=1)
    hair = ((red - _SOME_HAIR) / (1 - _SOME_HAIR)).clamp(0, 1)
    x, y = 2 * blue - 1, green
    return torch.stack([red, (x * x - y * y) * hair, 2 * x * y * hair], dim=1)


class StrandsFromSteps(nn.Module):
    """Adds steps up and puts the points of a strand onto the way.

    Args:
        steps: K, a divisor of 99.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        places, curls = _points_from_steps(steps), _curls_from_knots(steps)
        self.register_buffer("places", torch.from_numpy(places), persistent=False)
        self.register_buffer("curls", torch.from_numpy(curls), persistent=False)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Map (B, 4, K, S) to (B, 4, 100, S): metres from the root, and curliness."""
        places = torch.matmul(self.get_buffer("places"), steps[:, :3])
        curliness = torch.matmul(self.get_buffer("curls"), steps[:, 3:]).clamp_min(0)
        return torch.cat([places, curliness], dim=1)


class LatentOfMap(nn.Module):
    """The encoder of a hair VAE from HairNet's map on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, orientation_map: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 256, 256), RGB 0..255, to (B, latent)."""
        latent: torch.Tensor = self.network(features_of(orientation_map))
        return latent


class StrandsOfLatent(nn.Module):
    """The decoder of a hair VAE down to the scalp's grid of strands."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Map (B, latent) to (B, 32, 32, 100, 4): x, y, z in metres, curliness.

        A cell where the network sees no hair is 0 throughout.
        """
        steps, grows = self.network(latent)
        offsets = self.network.get_submodule("strands")(steps.flatten(3))  # (B, 4, 100, 1024)
        roots = self.network.get_buffer("roots").reshape(SIDE * SIDE, 3)
        roots = nn.functional.pad(roots, (0, 1)).T[None, :, None]  # (1, 4, 1, 1024)
        there = (grows > 0).to(offsets.dtype).flatten(1)[:, None, None]  # (B, 1, 1, 1024)
        strands: torch.Tensor = (offsets + roots) * there
        return strands.permute(0, 3, 2, 1).reshape(-1, SIDE, SIDE, NUM_POINTS, 4)


def _points_from_steps(steps: int) -> NDArray[np.float32]:
    """(100, K): a cubic spline through the ends of all steps, as a matrix."""
    every = (NUM_POINTS - 1) // steps
    ends = np.concatenate([np.zeros((1, steps)), np.tri(steps)])  # (K + 1, K) sums of steps
    if every == 1:
        return ends.astype(np.float32)
    spline = CubicSpline(np.arange(steps + 1) * every, ends, axis=0)
    points: NDArray[np.float64] = spline(np.arange(NUM_POINTS))
    points[::every] = ends  # exactly
    return points.astype(np.float32)


def _curls_from_knots(steps: int) -> NDArray[np.float32]:
    """(100, K): linear between the ends of steps, and 0 at both ends of a strand.

    Curliness is HairNet's curvature, the difference of two neighbouring steps; ends have one.
    """
    every = (NUM_POINTS - 1) // steps
    at = np.arange(1, steps + 1) * every
    columns = [np.interp(np.arange(NUM_POINTS), at, row) for row in np.eye(steps)]
    matrix = np.stack(columns, axis=1)
    matrix[[0, -1]] = 0
    return matrix.astype(np.float32)
