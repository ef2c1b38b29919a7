# SPDX-License-Identifier: Apache-2.0
"""What the build knows of a graph beyond its ``config.pbtxt``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mien_export.contract import ModelContract
from mien_export.parity import ParityReport, Tolerance, Tolerances

PRECISIONS = ("fp32", "fp16", "int8", "tensorrt")


@dataclass(frozen=True)
class WeightsRequest:
    """Where the weights come from: a file, or a seed; exactly one is set."""

    checkpoint: Path | None = None
    seed: int | None = None


@dataclass(frozen=True)
class FirstGraph:
    """The fp32 graph of a build, just written.

    Attributes:
        parameters: trainable values in the network.
        parity: against the source of the graph.
        checkpoint_sha256: digest of the weights file, where there was one.
    """

    parameters: int
    parity: ParityReport
    checkpoint_sha256: str | None = None


class Network(Protocol):
    """One choice of network for a graph."""

    @property
    def summary(self) -> str:
        """One line for ``mien-export list``."""

    @property
    def licence_note(self) -> str:
        """What is known of the licences of published weights."""

    @property
    def takes_random_weights(self) -> bool:
        """False where only a weights file makes sense."""

    def weights_files(self, checkpoint: Path) -> tuple[Path, ...]:
        """Give every file that is read where this checkpoint is given, itself first."""

    def fingerprint(self) -> str:
        """Everything about this choice that changes the graph, besides the exporter's code."""

    def write_onnx(
        self, contract: ModelContract, weights: WeightsRequest, tolerances: Tolerances, path: Path
    ) -> FirstGraph:
        """Write the fp32 graph and compare it with its source."""


@dataclass(frozen=True)
class Asset:
    """A file of another model that the build makes from the weights of a graph.

    Attributes:
        model: whose file it is; it cannot be built without the graph.
        file: path inside its directory, of a file or of a folder of files.
        write: (weights file, path) writes it; the same weights give the same bytes.
        also_from: digests of what else decides the contents, by name.
    """

    model: str
    file: str
    write: Callable[[Path, Path], None]
    also_from: Callable[[], Mapping[str, str]] = dict

    def holds(self, name: str) -> bool:
        """Whether a path inside the model's directory is this file, or in this folder."""
        return name == self.file or name.startswith(f"{self.file}/")


@dataclass(frozen=True)
class ExportSpec:
    """How one graph of the repository is built.

    Attributes:
        model: name in the repository.
        networks: choices by name.
        default_network: what is built unless the user chooses.
        tolerances: per precision, per output.
        fp32_op_types: operators that stay in fp32 in the fp16 graph.
        fp32_node_prefix: nodes with such names stay in fp32 too; empty for none.
        fp16_node_prefix: only nodes with such names become fp16; empty for all the rest.
        fp32_up_to: operators that stay in fp32 with everything they are computed from.
        is_optional: built only where a checkpoint is given.
        assets: files of other models that are made from this graph's weights.
    """

    model: str
    networks: Mapping[str, Network]
    default_network: str
    tolerances: Mapping[str, Mapping[str, Tolerance]]
    fp32_op_types: tuple[str, ...] = ()
    fp32_node_prefix: str = ""
    fp16_node_prefix: str = ""
    fp32_up_to: tuple[str, ...] = ()
    is_optional: bool = False
    assets: tuple[Asset, ...] = ()

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions this graph can be built in: those with a tolerance, in fixed order."""
        return tuple(name for name in PRECISIONS if name in self.tolerances)

    def fingerprint(self, network: str) -> str:
        """Everything of the spec that changes what is built with this network."""
        chosen = self.networks[network].fingerprint()
        kept = (self.fp32_op_types, self.fp32_node_prefix, self.fp16_node_prefix, self.fp32_up_to)
        return f"{self.model} {network} {chosen} {self.tolerances!r} {kept!r}"


@dataclass(frozen=True)
class Dependency:
    """A call that a ``model.py`` makes; ensembles state theirs in ``config.pbtxt``.

    Attributes:
        model: the model called.
        when_built: the call is made only where that optional model is in the repository.
        sets: parameters of the caller that then get other values.
    """

    model: str
    when_built: bool = False
    sets: Mapping[str, str] = field(default_factory=dict)
