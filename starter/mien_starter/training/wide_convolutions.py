# SPDX-License-Identifier: Apache-2.0
"""Convolutions of few channels, computed with more of them that are zero.

In torch 2.13 the gradient of a convolution to fewer than 16 channels may crash where its tensors
have their channels last, as in training. Latents have 3 channels, and so have pictures.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["with_wide_convolutions"]

_SMALLEST = 16


class _WideConv2d(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        missing = (0, 0, 0, 0, 0, _SMALLEST - self.in_channels)  # channels behind the others
        wide, weight = (nn.functional.pad(part, missing) for part in (x, self.weight))
        return nn.functional.conv2d(wide, weight, self.bias, self.stride, self.padding)


def with_wide_convolutions(network: nn.Module) -> nn.Module:
    """The network with every convolution from fewer than 16 channels replaced; names stay."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and child.in_channels < _SMALLEST:
                setattr(module, name, _widened(child))
    return network


def _widened(narrow: nn.Conv2d) -> _WideConv2d:
    wide = _WideConv2d(
        narrow.in_channels,
        narrow.out_channels,
        narrow.kernel_size,  # type: ignore[arg-type]  # tuples of any length, says torch
        narrow.stride,  # type: ignore[arg-type]
        narrow.padding,  # type: ignore[arg-type]
        bias=narrow.bias is not None,
    )
    wide.weight, wide.bias = narrow.weight, narrow.bias
    return wide
