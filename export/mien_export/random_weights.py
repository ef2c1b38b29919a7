# SPDX-License-Identifier: Apache-2.0
"""Weights for trying the machinery: seeded, and not degenerate, but knowing nothing of faces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from mien_export.parity import Array

_FIRST_SLOPE = 0.25  # PReLU's usual start


def fill_randomly(module: nn.Module, examples: Sequence[Array], seed: int) -> None:
    """Draw the weights, then settle every BatchNorm on example inputs.

    A deep network with untouched BatchNorm statistics maps all inputs to nearly one embedding;
    with measured ones different images are far apart, as a caller of the pipeline expects.

    Args:
        module: changed in place.
        examples: its arguments, each (B, ...), of the kind it will see.
        seed: the same seed gives the same weights.
    """
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        _draw(part, generator)
    _settle_statistics(module, examples)


@torch.no_grad()
def _draw(part: nn.Module, generator: torch.Generator) -> None:
    if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.Linear):
        # Kaiming, fan in: keeps the variance of activations through the layers. A last layer may
        # ask for less, where what it gives has a scale of its own.
        deviation = getattr(part, "random_gain", 1.0) * (2.0 / _fan_in(part)) ** 0.5
        part.weight.normal_(0.0, deviation, generator=generator)
        if part.bias is not None:
            part.bias.zero_()
    elif isinstance(part, nn.PReLU):
        part.weight.fill_(_FIRST_SLOPE)
    elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
        part.reset_parameters()
    else:
        # Codebooks and learned vectors, in the place of which something of unit variance comes.
        for parameter in part.parameters(recurse=False):
            parameter.normal_(0.0, 1.0, generator=generator)


def _fan_in(
    part: nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.Linear,
) -> float:
    if isinstance(part, nn.ConvTranspose2d):  # an output meets every stride-th place of the kernel
        return part.weight[:, 0].numel() / math.prod(part.stride)
    return part.weight[0].numel()


@torch.no_grad()
def _settle_statistics(module: nn.Module, examples: Sequence[Array]) -> None:
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    module.eval()
    if not norms:
        return  # a pass through a large network would be for nothing
    momenta = [norm.momentum for norm in norms]
    # One thread: the order of summation, and with it the last bit, depends on their number.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for norm in norms:
            norm.momentum = 1.0  # the running statistics become those of this batch
            norm.train()
        module(*(torch.as_tensor(array) for array in examples))
    finally:
        torch.set_num_threads(threads)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        module.eval()
