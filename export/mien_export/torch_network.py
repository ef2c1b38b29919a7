# SPDX-License-Identifier: Apache-2.0
"""A network choice that is a torch module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mien_export.checkpoints import Rename, load_strictly, read_checkpoint
from mien_export.contract import ModelContract
from mien_export.onnx_from_torch import export_onnx, run_torch
from mien_export.parity import Arrays, Tolerances, compare, example_cases, run_onnx
from mien_export.random_weights import fill_randomly
from mien_export.spec import FirstGraph, WeightsRequest


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
    """

    summary: str
    licence_note: str
    config: object
    make: Callable[[], nn.Module]
    wrap: Callable[[nn.Module], nn.Module]
    rename: Rename
    takes_random_weights: bool = True

    def fingerprint(self) -> str:
        """Sizes and the names of the three functions."""
        rename = getattr(self.rename, "__qualname__", repr(self.rename))
        return f"{self.config!r} {rename} {self.summary}"

    def write_onnx(
        self, contract: ModelContract, weights: WeightsRequest, tolerances: Tolerances, path: Path
    ) -> FirstGraph:
        """Load or draw the weights, export, and compare with torch."""
        backbone = self.make().eval()
        module = self.wrap(backbone).eval()
        px = contract.inputs[0].dims[-1]
        sha256 = None
        if weights.checkpoint is not None:
            checkpoint = read_checkpoint(weights.checkpoint)
            load_strictly(backbone, checkpoint, self.rename)
            sha256 = checkpoint.sha256
        else:
            fill_randomly(module, px, weights.seed or 0)
        export_onnx(module, contract, path)
        cases: list[Arrays] = list(
            example_cases(contract.inputs[0].name, px, contract.max_batch_size)
        )
        parity = compare(run_torch(module, contract, cases), run_onnx(path, cases), tolerances)
        parameters = sum(parameter.numel() for parameter in backbone.parameters())
        return FirstGraph(parameters, parity, sha256)
