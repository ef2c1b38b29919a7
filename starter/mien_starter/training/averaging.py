# SPDX-License-Identifier: Apache-2.0
"""The moving average of a network's weights, which does better than its last step."""

from __future__ import annotations

import torch
from torch import nn

from mien_starter.training.recipe import Tensors

__all__ = ["MovingAverage"]


class MovingAverage:
    """Averages of every floating tensor of a network's state, statistics included.

    Args:
        network: whose present state is the first average.
        decay: weight of the past; early on it is lower, so that the start is forgotten soon.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state: Tensors = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take the state after a step (counted from 0) in."""
        decay = min(self._decay, (1 + step) / (10 + step))
        present = network.state_dict()
        floating = [name for name, value in present.items() if value.is_floating_point()]
        averages = [self.state[name] for name in floating]
        torch._foreach_lerp_(averages, [present[name] for name in floating], 1 - decay)
        for name in present.keys() - set(floating):
            self.state[name].copy_(present[name])
