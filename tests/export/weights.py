# SPDX-License-Identifier: Apache-2.0
"""What tests ask of the weights of any network."""

import torch
from torch import nn


def count_parameters(make, config) -> int:
    """Trainable values, counted without drawing them."""
    with torch.device("meta"):
        network = make(config)
    return sum(parameter.numel() for parameter in network.parameters())


def names_without_counters(network: nn.Module) -> set[str]:
    """Names of the state_dict; nobody reads num_batches_tracked, and old files lack it."""
    return {name for name in network.state_dict() if not name.endswith(".num_batches_tracked")}


def norm_names(prefix: str) -> set[str]:
    """The four tensors of a BatchNorm."""
    return {f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
