# SPDX-License-Identifier: Apache-2.0
"""A starter network as it will be served: the exporter's own module around the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.checkpoints import Checkpoint, load_strictly, read_checkpoint
from mien_export.registry import SPECS
from mien_export.torch_network import TorchNetwork
from mien_starter.errors import StarterError
from mien_starter.recipes import recipe_module
from mien_starter.training.checkpoint import read_average
from mien_starter.training.recipe import Tensors

__all__ = ["Predict", "predicted", "predictor", "starter_network", "trained_tensors", "wrapped"]

# (N, side, side, 3) uint8 crops to the graph's outputs, each (N, ...) float32, in its order.
Predict = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]

_BATCH = 32


def starter_network(name: str) -> TorchNetwork:
    """The choice of `mien-export build --network` that a recipe trains."""
    network = SPECS[name].networks[recipe_module(name).NETWORK]
    assert isinstance(network, TorchNetwork)
    return network


def trained_tensors(name: str, work: Path) -> tuple[Tensors, dict[str, str]]:
    """The averaged weights of a run under the names of its file, and what is known of the run.

    Raises:
        StarterError: there is no run in the folder.
    """
    state, about = read_average(work)
    return recipe_module(name).network_state(state), about


def wrapped(name: str, tensors: Tensors | Path | None, seed: int = 0) -> nn.Module:
    """The module that is exported, in evaluation mode.

    Args:
        name: of the graph.
        tensors: its weights, or a file of them; None leaves them as they were drawn.
        seed: they were drawn with.

    Raises:
        mien_export.errors.CheckpointError: the weights do not fit.
    """
    network = starter_network(name)
    torch.manual_seed(seed)
    backbone = network.make().eval()
    if tensors is not None:
        checkpoint = (
            read_checkpoint(tensors, network.select)
            if isinstance(tensors, Path)
            else Checkpoint(f"{name} in training", "", tensors)
        )
        load_strictly(backbone, checkpoint, network.rename)
    return network.wrap(backbone).eval()


def predictor(module: nn.Module) -> Predict:
    """Run a module on crops, a few at a time."""

    @torch.no_grad()
    def predict(crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        parts = []
        for start in range(0, len(crops), _BATCH):
            batch = torch.from_numpy(crops[start : start + _BATCH]).permute(0, 3, 1, 2).float()
            found = module(batch)
            parts.append(found if isinstance(found, tuple) else (found,))
        outputs = zip(*parts, strict=True)
        return tuple(torch.cat(list(pieces)).numpy() for pieces in outputs)

    return predict


def predicted(
    predict: Predict, crops: Iterable[NDArray[np.uint8]], at_once: int = 256
) -> tuple[NDArray[np.float32], ...]:
    """Predictions for more crops than should be in memory at once."""
    parts: list[tuple[NDArray[np.float32], ...]] = []
    waiting: list[NDArray[np.uint8]] = []
    for crop in crops:
        waiting.append(crop)
        if len(waiting) == at_once:
            parts.append(predict(np.stack(waiting)))
            waiting = []
    if waiting:
        parts.append(predict(np.stack(waiting)))
    if not parts:
        raise StarterError("there is no photograph to measure on; render some.")
    return tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))
