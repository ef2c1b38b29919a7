# SPDX-License-Identifier: Apache-2.0
"""The generative networks in sizes small enough for tests, and weights that hide nothing."""

import torch
from torch import nn

from mien_export.networks.adm import AdmConfig
from mien_export.networks.autoencoder import AutoencoderConfig
from mien_export.networks.denoiser import DenoiserConfig
from mien_export.networks.style_encoder import StyleEncoderConfig

TINY_VQ = AutoencoderConfig(channels=4, multipliers=(1, 2, 3), blocks=1, groups=2, codes=32)
TINY_KL = AutoencoderConfig(channels=4, multipliers=(1, 2, 3), blocks=1, groups=2, codes=0)
TINY_DENOISER = DenoiserConfig(
    channels=4,
    multipliers=(1, 2, 1),
    attention=(False, True, True),
    blocks=1,
    head_channels=4,
    contexts="identity_style",
    tokens=3,
    context_channels=8,
    groups=2,
)
TINY_ADM = AdmConfig(
    channels=4,
    multipliers=(1, 2, 2),
    attention=(False, True, False),
    head_channels=4,
    groups=2,
)
TINY_STYLE = StyleEncoderConfig(widths=(4, 6), outputs=10)


def with_lively_weights(network: nn.Module, seed=0) -> nn.Module:
    """Every tensor random, what starts at zero or one too: nothing cancels or passes unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return network.eval()


def state_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of its tensors by name."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
