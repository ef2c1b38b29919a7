# SPDX-License-Identifier: Apache-2.0
"""Latents of zero mean and unit variance: measured in training, folded into the weights.

A diffusion's schedule takes a certain signal for granted, and an autoencoder has no reason to give
it. Mean and deviation of each channel move into the 1x1 convolutions on either side of the latent,
so that serving knows nothing of them and pictures stay the same.

Letters  B batch; latents have 3 channels.
"""

from __future__ import annotations

import torch
from torch import nn

from mien_export.networks.autoencoder import LATENT_CHANNELS
from mien_starter.training.recipe import Tensors

__all__ = ["LatentScale", "standardised"]

_MOMENTUM = 0.01
_SMALLEST_DEVIATION = 1e-6


class LatentScale(nn.Module):
    """Running mean and mean square of each channel, as a BatchNorm keeps them.

    They are part of the network's state and are averaged with its weights, so they belong to the
    averaged weights as far as the last few hundred steps, of hardly any learning rate, do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(LATENT_CHANNELS))
        self.register_buffer("square", torch.ones(LATENT_CHANNELS))

    @torch.no_grad()
    def take(self, latents: torch.Tensor, step: int) -> None:
        """Take (B, 3, H, W) latents of a step, counted from 0, in; early ones are forgotten."""
        share = max(_MOMENTUM, 1 / (step + 1))
        self.get_buffer("mean").lerp_(latents.mean(dim=(0, 2, 3)), share)
        self.get_buffer("square").lerp_(latents.square().mean(dim=(0, 2, 3)), share)


def standardised(
    encoder: Tensors, decoder: Tensors, mean: torch.Tensor, square: torch.Tensor
) -> tuple[Tensors, Tensors]:
    """Weights whose latents are (z - mean) / deviation and whose pictures are the same.

    Args:
        encoder: of a `mien_export.networks.autoencoder.LatentEncoder` of the KL form.
        decoder: of the `LatentDecoder` that was trained with it.
        mean: (3,) of the encoder's latents.
        square: (3,) mean square of them.

    Returns:
        Encoder and decoder. ``quant_conv`` gives mean and log-variance: the mean is moved and
        scaled, and the variance falls by the square of the deviation.
    """
    deviation = (square - mean.square()).clamp_min(_SMALLEST_DEVIATION**2).sqrt()
    weight, bias = encoder["quant_conv.weight"].clone(), encoder["quant_conv.bias"].clone()
    weight[:LATENT_CHANNELS] /= deviation[:, None, None, None]
    bias[:LATENT_CHANNELS] = (bias[:LATENT_CHANNELS] - mean) / deviation
    bias[LATENT_CHANNELS:] -= 2 * deviation.log()
    after = decoder["post_quant_conv.weight"]  # (3, 3, 1, 1)
    moved = decoder["post_quant_conv.bias"] + after[:, :, 0, 0] @ mean
    return (
        {**encoder, "quant_conv.weight": weight, "quant_conv.bias": bias},
        {
            **decoder,
            "post_quant_conv.weight": after * deviation[None, :, None, None],
            "post_quant_conv.bias": moved,
        },
    )
