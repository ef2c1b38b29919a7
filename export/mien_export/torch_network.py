# SPDX-License-Identifier: Apache-2.0
"""A network choice that is a torch module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mien_export.checkpoints import (
    Rename,
    Select,
    load_strictly,
    only_state_dict,
    read_checkpoint,
)
from mien_export.contract import ModelContract
from mien_export.onnx_from_torch import export_and_compare
from mien_export.parity import Tolerances, example_batch
from mien_export.random_weights import fill_randomly
from mien_export.spec import FirstGraph, WeightsRequest

_STATISTICS_BATCH = 16


@dataclass(frozen=True)
class TorchNetwork:
    """An architecture, the files it loads and the wrapper that goes around it.

    Attributes:
        summary: one line for ``mien-export list``.
        licence_note: what is known of the licences of published weights.
        config: sizes, a frozen dataclass.
        make: builds the backbone, whose names are those of the checkpoints.
        wrap: puts preprocessing and normalisation around it.
        rename: from the names in a file to those of the backbone.
        takes_random_weights: false where only a weights file makes sense.
        select: which tensors of a file are this network's.
    """

    summary: str
    licence_note: str
    config: object
    make: Callable[[], nn.Module]
    wrap: Callable[[nn.Module], nn.Module]
    rename: Rename
    takes_random_weights: bool = True
    select: Select = only_state_dict

    def fingerprint(self) -> str:
        """Sizes, and what is taken from a file under which names."""
        taken = [getattr(f, "__qualname__", repr(f)) for f in (self.rename, self.select)]
        return f"{self.config!r} {' '.join(taken)} {self.summary}"

    def weights_files(self, checkpoint: Path) -> tuple[Path, ...]:
        """Give the checkpoint: nothing lies beside it."""
        return (checkpoint,)

    def write_onnx(
        self, contract: ModelContract, weights: WeightsRequest, tolerances: Tolerances, path: Path
    ) -> FirstGraph:
        """Load or draw the weights, export, and compare with torch."""
        backbone = self.make().eval()
        module = self.wrap(backbone).eval()
        sha256 = None
        if weights.checkpoint is not None:
            checkpoint = read_checkpoint(weights.checkpoint, self.select)
            load_strictly(backbone, checkpoint, self.rename)
            sha256 = checkpoint.sha256
        else:
            seed = weights.seed or 0
            examples = example_batch(contract, _STATISTICS_BATCH, seed)
            fill_randomly(module, [examples[spec.name] for spec in contract.inputs], seed)
        parity = export_and_compare(module, contract, tolerances, path)
        parameters = sum(parameter.numel() for parameter in backbone.parameters())
        return FirstGraph(parameters, parity, sha256)
