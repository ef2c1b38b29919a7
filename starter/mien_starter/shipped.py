# SPDX-License-Identifier: Apache-2.0
"""Starter networks that other ones are trained with: as they are shipped, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mien_export.checkpoints import load_strictly, read_checkpoint
from mien_export.registry import SPECS
from mien_export.starter_weights import read_starter_weights
from mien_export.torch_network import TorchNetwork
from mien_starter.errors import StarterError

__all__ = ["WEIGHTS", "Shipped", "shipped"]

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


@dataclass(frozen=True, eq=False)
class Shipped:
    """A network that no longer learns.

    Attributes:
        backbone: under the names of its file.
        graph: the module that is exported, around it; pictures in RGB 0..255.
        sha256: of the file.
    """

    backbone: nn.Module
    graph: nn.Module
    sha256: str


def shipped(name: str, folder: Path = WEIGHTS) -> Shipped:
    """The network of a graph, from the starter weights in a folder.

    Raises:
        StarterError: there are none for this graph.
        mien_export.errors.CheckpointError: the folder or the file cannot be read.
    """
    entry = read_starter_weights(folder).get(name)
    if entry is None:
        raise StarterError(
            f"{folder} has no weights of {name}; train and export it first, see docs/starter.md."
        )
    network = SPECS[name].networks[entry.network]
    assert isinstance(network, TorchNetwork)
    backbone = network.make().eval()
    checkpoint = read_checkpoint(folder / entry.file, network.select)
    load_strictly(backbone, checkpoint, network.rename)
    graph = network.wrap(backbone).eval()
    for parameter in graph.parameters():
        parameter.requires_grad = False
    return Shipped(backbone, graph, checkpoint.sha256)
