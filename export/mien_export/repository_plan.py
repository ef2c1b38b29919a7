# SPDX-License-Identifier: Apache-2.0
"""What a build will make, as data: `mien_export.plan` decides it, `mien_export.build` does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien_export.calibration import CalibrationSet
from mien_export.contract import ModelContract
from mien_export.manifest import Manifest, weights_digest
from mien_export.spec import Asset, ExportSpec, WeightsRequest


@dataclass(frozen=True)
class GraphPlan:
    """How the graphs of a model will be made.

    Attributes:
        source: of the weights: "random", "checkpoint" or "starter".
        weights_digests: SHA-256 of every weights file that will be read, by name.
    """

    spec: ExportSpec
    network: str
    weights: WeightsRequest
    source: str
    weights_digests: Mapping[str, str]
    precisions: tuple[str, ...]
    calibration: CalibrationSet | None
    licence: str
    allow_commercial: bool

    def identity(self) -> dict[str, Any]:
        """What the manifest will say of network and weights."""
        checkpoint = self.weights.checkpoint
        sha256 = self.weights_digests[checkpoint.name] if checkpoint else None
        return {"network": self.network, "sha256": sha256, "seed": self.weights.seed}

    def inputs(self) -> dict[str, Any]:
        """Everything that decides what the graphs will be, as JSON."""
        return {
            "spec": self.spec.fingerprint(self.network),
            "weights": [self.source, dict(self.weights_digests), self.weights.seed],
            "precisions": self.precisions,
            "calibration": self.calibration.digest if self.calibration else None,
            "licence": [self.licence, self.allow_commercial],
        }


@dataclass(frozen=True)
class ModelPlan:
    """What will lie in one model directory.

    Attributes:
        contract: the configuration with this build's parameter values, parsed.
        config_text: the same, as text.
        origin: directory that the other files come from.
        files: those files, by path inside the directory.
        depends_on: direct dependencies.
        inputs_digest: equal digests mean equal results.
        graph: None for pipelines and carried models.
        assets: files made from weights, each with the weights file.
        carried: the manifest in the target, where the model is carried over.
    """

    contract: ModelContract
    config_text: str
    origin: Path
    files: tuple[str, ...]
    depends_on: tuple[str, ...]
    untrained: bool
    inputs_digest: str
    graph: GraphPlan | None = None
    assets: tuple[tuple[Asset, Path], ...] = ()
    carried: Manifest | None = None

    @property
    def model(self) -> str:
        """Its name in the repository."""
        return self.contract.name

    @property
    def weights_digest(self) -> str | None:
        """Identity of a graph's weights, see `manifest.weights_digest`; None for pipelines."""
        weights = self.graph.identity() if self.graph else self.carried and self.carried.weights
        return weights_digest(weights) if weights else None


@dataclass(frozen=True)
class RepositoryPlan:
    """What a build will make.

    Attributes:
        models: dependencies first.
        left_out: models that need weights which nobody gave, with the reason.
    """

    models: tuple[ModelPlan, ...]
    left_out: Mapping[str, str]
