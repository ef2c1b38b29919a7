# SPDX-License-Identifier: Apache-2.0
"""MICA: an aligned crop to FLAME's shape coefficients, through a recognition network.

Source   MICA ``micalib/models/{arcface,generator,mica}.py``; attribute names are those of its
         ``mica.tar``: ``arcface`` and, inside ``flameModel``, ``regressor``.
Paper    Zielonka et al. 2022, *Towards Metrical Reconstruction of Human Faces*, section 4.
Letters  B batch.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.iresnet import (
    IRESNET18_NARROW,
    IRESNET100,
    IResNet,
    IResNetConfig,
)

NUM_SHAPE = 300
# Keeps the norm of an all-zero feature from dividing by zero; far below any real norm.
_SMALLEST_NORM = 1e-12
_SLOPE = 0.2


@dataclass(frozen=True)
class MicaConfig:
    """Sizes of a MICA; the defaults are the published ones.

    Attributes:
        trunk: the recognition network.
        hidden: width of the regressor's hidden layers.
        hidden_layers: how many of them; the first reads the embedding.
        outputs: shape coefficients.
    """

    trunk: IResNetConfig = IRESNET100
    hidden: int = NUM_SHAPE
    hidden_layers: int = 4
    outputs: int = NUM_SHAPE


MICA = MicaConfig()
# The starter recogniser's trunk, whose cost is all there is, and 0.33 M parameters behind it.
MICA_STARTER = MicaConfig(trunk=IRESNET18_NARROW, hidden_layers=2)


class MappingNetwork(nn.Module):
    """Linear layers with LeakyReLU between the embedding and the coefficients."""

    def __init__(self, inputs: int, config: MicaConfig) -> None:
        super().__init__()
        sizes = [inputs, *[config.hidden] * config.hidden_layers]
        self.network = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(sizes)
        )
        self.output = nn.Linear(sizes[-1], config.outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 512) to (B, 300)."""
        for layer in self.network:
            x = nn.functional.leaky_relu(layer(x), _SLOPE)
        return self.output(x)  # type: ignore[no-any-return]


class Mica(nn.Module):
    """The recognition trunk, the L2 norm, the regressor."""

    def __init__(self, config: MicaConfig) -> None:
        super().__init__()
        self.arcface = IResNet(config.trunk)
        self.regressor = MappingNetwork(config.trunk.num_features, config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 112, 112), RGB in -1..1, to (B, 300) shape coefficients."""
        features = self.arcface(x)  # (B, 512)
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return self.regressor(features / norm.clamp_min(_SMALLEST_NORM))  # type: ignore[no-any-return]
