# SPDX-License-Identifier: Apache-2.0
"""The sinusoids that tell a denoiser how noisy its input is.

Paper    Ho et al. 2020, *Denoising Diffusion Probabilistic Models*, appendix B; Vaswani et al.
         2017, section 3.5. Cosines stand first here, as in guided-diffusion and IDiff-Face.
Letters  B batch, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import nn

_MAX_PERIOD = 10_000.0


class Sinusoids(nn.Module):
    """cos(t f), then sin(t f), with C / 2 frequencies f from 1 down to almost 1 / 10000."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        exponents = torch.arange(half, dtype=torch.float32) / half
        # No checkpoint has it.
        self.register_buffer(
            "frequencies", torch.exp(-math.log(_MAX_PERIOD) * exponents), persistent=False
        )

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Map (B, 1) timesteps, 0 to 999, to (B, C); t may be fractional."""
        angles = t * self.get_buffer("frequencies")
        return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
