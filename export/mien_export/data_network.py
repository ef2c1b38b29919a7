# SPDX-License-Identifier: Apache-2.0
"""A network choice whose numbers are data, such as a head model: read from a file, never drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mien_export.contract import ModelContract
from mien_export.errors import CheckpointError
from mien_export.manifest import sha256_of_file
from mien_export.onnx_from_torch import export_and_compare
from mien_export.parity import Tolerances
from mien_export.spec import FirstGraph, WeightsRequest


def _itself(checkpoint: Path) -> tuple[Path, ...]:
    return (checkpoint,)


@dataclass(frozen=True)
class DataNetwork:
    """A module made from a data file.

    Attributes:
        summary: one line for ``mien-export list``.
        licence_note: what is known of the licences of published files.
        config: conventions and sizes, a frozen dataclass or plain value.
        make: builds the module from the file; its buffers are the data.
        files: the file and those beside it that are read with it.
    """

    summary: str
    licence_note: str
    config: object
    make: Callable[[Path], nn.Module]
    files: Callable[[Path], tuple[Path, ...]] = _itself
    takes_random_weights: bool = False

    def fingerprint(self) -> str:
        """Conventions; how files are read is part of the exporter's code."""
        return f"{self.config!r} {self.summary}"

    def weights_files(self, checkpoint: Path) -> tuple[Path, ...]:
        """Give the file and what lies beside it."""
        return self.files(checkpoint)

    def write_onnx(
        self, contract: ModelContract, weights: WeightsRequest, tolerances: Tolerances, path: Path
    ) -> FirstGraph:
        """Read the data, export, and compare with torch."""
        if weights.checkpoint is None:
            raise CheckpointError(f"{contract.name} is data and cannot be random; give its file.")
        module = self.make(weights.checkpoint).eval()
        parity = export_and_compare(module, contract, tolerances, path)
        values = sum(buffer.numel() for buffer in module.buffers() if buffer.is_floating_point())
        return FirstGraph(values, parity, sha256_of_file(weights.checkpoint))
