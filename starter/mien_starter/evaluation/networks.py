# SPDX-License-Identifier: Apache-2.0
"""A starter network as it will be served: the exporter's own module around the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.checkpoints import Checkpoint, load_strictly, read_checkpoint
from mien_export.registry import SPECS
from mien_export.torch_network import TorchNetwork
from mien_starter.errors import StarterError
from mien_starter.recipes import network_of, recipe_module
from mien_starter.training.checkpoint import read_average
from mien_starter.training.recipe import Tensors

__all__ = [
    "Predict",
    "predicted",
    "predictor",
    "run_predictors",
    "starter_network",
    "trained_states",
    "wrapped",
]

# A graph's inputs, N samples each, to its outputs, each (N, ...) float32, both in its order.
# Pictures are (N, side, side, 3) uint8, everything else is float32 as the contract has it.
Predict = Callable[..., tuple[NDArray[np.float32], ...]]

_BATCH = 32


def starter_network(graph: str) -> TorchNetwork:
    """The choice of `mien-export build --network` that a recipe trains."""
    network = SPECS[graph].networks[network_of(graph)]
    assert isinstance(network, TorchNetwork)
    return network


def trained_states(name: str, work: Path) -> tuple[Mapping[str, Tensors], dict[str, str]]:
    """The averaged weights of a run, graph by graph, and what is known of the run.

    Args:
        name: of the recipe.
        work: folder of the run.

    Returns:
        By graph its tensors under the names of its file; step, recipe and data set.

    Raises:
        StarterError: there is no run in the folder.
    """
    state, about = read_average(work)
    return recipe_module(name).network_states(state), about


def wrapped(graph: str, tensors: Tensors | Path | None, seed: int = 0) -> nn.Module:
    """The module that is exported, in evaluation mode.

    Args:
        graph: its name.
        tensors: its weights, or a file of them; None leaves them as they were drawn.
        seed: they were drawn with.

    Raises:
        mien_export.errors.CheckpointError: the weights do not fit.
    """
    network = starter_network(graph)
    torch.manual_seed(seed)
    backbone = network.make().eval()
    if tensors is not None:
        checkpoint = (
            read_checkpoint(tensors, network.select)
            if isinstance(tensors, Path)
            else Checkpoint(f"{graph} in training", "", tensors)
        )
        load_strictly(backbone, checkpoint, network.rename)
    return network.wrap(backbone).eval()


def predictor(module: nn.Module) -> Predict:
    """Run a module on its inputs, a few samples at a time."""

    @torch.no_grad()
    def predict(*inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        parts = []
        for start in range(0, len(inputs[0]), _BATCH):
            found = module(*(_tensor(array[start : start + _BATCH]) for array in inputs))
            parts.append(found if isinstance(found, tuple) else (found,))
        outputs = zip(*parts, strict=True)
        return tuple(torch.cat(list(pieces)).numpy() for pieces in outputs)

    return predict


def run_predictors(name: str, work: Path) -> Mapping[str, Predict]:
    """By graph the averaged networks of a run.

    Raises:
        StarterError: there is no run in the folder.
    """
    states, _ = trained_states(name, work)
    return {graph: predictor(wrapped(graph, tensors)) for graph, tensors in states.items()}


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


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.permute(0, 3, 1, 2).float() if array.dtype == np.uint8 else tensor
