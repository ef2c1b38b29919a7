# SPDX-License-Identifier: Apache-2.0
"""What a network's training consists of: its numbers, and what the loop asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["Arrays", "Recipe", "Task", "Tensors"]

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """Numbers of a training run; with a data set they determine the weights.

    Attributes:
        steps: batches.
        batch: samples in each.
        learning_rate: the highest; reached after the warm-up, then falls to zero as a cosine.
        seed: of initial weights, order and augmentation.
        warmup_steps: the learning rate rises linearly during these.
        weight_decay: AdamW's; biases and normalisation have none.
        ema_decay: of the averaged weights, which are the ones that are kept.
        clip_norm: largest norm of the gradient.
        bfloat16: compute the network's layers in bfloat16; twice as fast where the CPU has it.
        log_every: steps of one row of the loss curve.
        checkpoint_every: steps after which an interrupted run goes on.
    """

    steps: int
    batch: int
    learning_rate: float
    seed: int
    warmup_steps: int = 200
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    clip_norm: float = 5.0
    bfloat16: bool = False
    log_every: int = 20
    checkpoint_every: int = 200


class Task(Protocol):
    """A network in training. Batches are made in other processes, by step number alone."""

    data: str  # the data set in one line; a run goes on with the same only

    @property
    def recipe(self) -> Recipe:
        """Its numbers."""

    @property
    def network(self) -> nn.Module:
        """What is kept in the end, under the names of its checkpoint."""

    @property
    def trained(self) -> nn.Module:
        """The network and whatever else learns with it."""

    def batch(self, step: int) -> Arrays:
        """Samples of a step, always the same ones."""

    def losses(self, batch: Tensors, step: int) -> Tensors:
        """Scalars by name; "loss" is the one to be made small, the others are shown."""
