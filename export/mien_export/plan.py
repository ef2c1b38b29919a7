# SPDX-License-Identifier: Apache-2.0
"""Decides what a build will make, before it makes anything.

A *selected* model is built from the contracts; a *carried* one is taken over from the target as it
is, but for its ``untrained`` mark and the detector it uses, which follow its dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien_export.calibration import CalibrationSet, read_calibration
from mien_export.config_text import set_parameters
from mien_export.contract import ModelContract, parse_config, read_config
from mien_export.errors import CheckpointError, ContractError, TargetError, UsageError
from mien_export.manifest import (
    Manifest,
    digest_files,
    file_problems,
    model_files,
    sha256_of_file,
    sha256_of_json,
    sources_digest,
    tool_versions,
)
from mien_export.spec import Dependency, ExportSpec, WeightsRequest

CONFIG = "config.pbtxt"
Specs = Mapping[str, ExportSpec]
Dependencies = Mapping[str, tuple[Dependency, ...]]


@dataclass(frozen=True)
class BuildRequest:
    """What the user asked for; mappings are by model name.

    Attributes:
        target: directory of the built repository.
        source: directory of the contracts.
        random_seed: seed for graphs without a checkpoint; None: they must have one.
        models: what to build; empty for everything.
        force: build even what has not changed.
    """

    target: Path
    source: Path
    networks: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    random_seed: int | None = None
    precisions: tuple[str, ...] = ("fp32",)
    calibration: Path | None = None
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    allow_commercial: Mapping[str, bool] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    force: bool = False


@dataclass(frozen=True)
class GraphPlan:
    """How the graphs of a model will be made."""

    spec: ExportSpec
    network: str
    weights: WeightsRequest
    checkpoint_sha256: str | None
    precisions: tuple[str, ...]
    calibration: CalibrationSet | None
    licence: str
    allow_commercial: bool

    def inputs(self) -> dict[str, Any]:
        """Everything that decides what the graphs will be, as JSON."""
        return {
            "spec": self.spec.fingerprint(self.network),
            "weights": [self.checkpoint_sha256, self.weights.seed],
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
    carried: Manifest | None = None

    @property
    def model(self) -> str:
        """Its name in the repository."""
        return self.contract.name


def read_sources(source: Path) -> dict[str, ModelContract]:
    """Parse every contract of a source directory.

    Raises:
        ContractError: the directory holds none, or one of them is wrong.
    """
    contracts = {path.parent.name: read_config(path) for path in source.glob(f"*/{CONFIG}")}
    if not contracts:
        raise ContractError(
            f"{source} holds no */{CONFIG}; expected a model repository. Give it with --source."
        )
    return dict(sorted(contracts.items()))


def make_plan(
    request: BuildRequest,
    specs: Specs,
    dependencies: Dependencies,
    existing: Mapping[str, Manifest],
    device: Mapping[str, str],
) -> list[ModelPlan]:
    """Plan every model of the resulting repository, dependencies first.

    Args:
        request: what the user asked for.
        specs: graphs that can be built.
        dependencies: calls that no config states.
        existing: manifests of the models in the target.
        device: what engines are tied to; empty where none are built.

    Raises:
        UsageError: the request names something unknown or contradicts itself.
        CheckpointError: a graph has no weights to take.
    """
    return _Planner(request, specs, dependencies, existing, device).plan()


class _Planner:
    def __init__(
        self,
        request: BuildRequest,
        specs: Specs,
        dependencies: Dependencies,
        existing: Mapping[str, Manifest],
        device: Mapping[str, str],
    ) -> None:
        self.request, self.specs, self.dependencies = request, specs, dependencies
        self.sources = read_sources(request.source)
        self.selected = self._select(existing)
        kept = existing if request.models else {}
        self.carried = {name: kept[name] for name in kept if name not in self.selected}
        for name, manifest in self.carried.items():
            _require_intact(request.target / name, manifest)
        self.present = self.selected | self.carried.keys()
        self.tools = {**tool_versions(), "sources": sources_digest(), **device}
        self.plans: dict[str, ModelPlan] = {}

    def plan(self) -> list[ModelPlan]:
        for model in sorted(self.present):
            self._visit(model)
        return list(self.plans.values())

    def _select(self, existing: Mapping[str, Manifest]) -> set[str]:
        optional = {name for name, spec in self.specs.items() if spec.is_optional}
        if not self.request.models:
            return self.sources.keys() - (optional - self.request.checkpoints.keys())
        selected: set[str] = set()
        waiting = set(self.request.models)
        while waiting:
            model = waiting.pop()
            selected.add(model)
            calls = self._calls(model, self.request.models)
            waiting |= {name for name in calls if name not in existing} - selected
        return selected

    def _calls(self, model: str, present: object) -> tuple[str, ...]:
        steps = tuple(step.model for step in self.sources[model].steps)
        stated = tuple(item.model for item in self._stated(model, present))
        return tuple(sorted(set(steps + stated)))

    def _stated(self, model: str, present: Any) -> list[Dependency]:
        items = self.dependencies.get(model, ())
        return [item for item in items if not item.when_built or item.model in present]

    def _visit(self, model: str) -> None:
        if model in self.plans:
            return
        if model not in self.sources:
            raise ContractError(
                f"{model!r} is called by a pipeline or lies in the target, but has no contract in "
                f"{self.request.source}. Add it there, or build into an empty directory."
            )
        depends_on = self._calls(model, self.present)
        for name in depends_on:
            self._visit(name)
        if self.sources[model].kind == "graph":
            self.plans[model] = (
                self._carried_graph(model) if model in self.carried else self._graph(model)
            )
        else:
            self.plans[model] = self._pipeline(model, depends_on)

    def _pipeline(self, model: str, depends_on: tuple[str, ...]) -> ModelPlan:
        carried = self.carried.get(model)
        untrained = any(self.plans[name].untrained for name in depends_on)
        before = carried.depends_on if carried else ()
        values: dict[str, str] = {}
        for item in self._stated(model, self.present):
            values |= item.sets if item.model not in before else {}
        values |= self.request.parameters.get(model, {})
        return self._model_plan(model, values, depends_on, untrained=untrained)

    def _graph(self, model: str) -> ModelPlan:
        graph = self._graph_plan(model)
        values = self.request.parameters.get(model, {})
        untrained = graph.weights.checkpoint is None
        return self._model_plan(model, values, (), untrained=untrained, graph=graph)

    def _carried_graph(self, model: str) -> ModelPlan:
        untrained = self.carried[model].untrained
        plan = self._model_plan(model, {}, (), untrained=untrained)
        digest = self.carried[model].inputs_digest  # nothing about a carried graph can change
        return ModelPlan(**{**vars(plan), "inputs_digest": digest})

    def _model_plan(
        self,
        model: str,
        values: Mapping[str, str],
        depends_on: tuple[str, ...],
        *,
        untrained: bool,
        graph: GraphPlan | None = None,
    ) -> ModelPlan:
        origin = (self.request.target if model in self.carried else self.request.source) / model
        text, label = (origin / CONFIG).read_text(encoding="utf-8"), f"{model}/{CONFIG}"
        if "untrained" in parse_config(text, label).parameters:
            values = {**values, "untrained": str(untrained).lower()}
        text = set_parameters(text, values, label)
        contract = parse_config(text, label)
        files = tuple(name for name in model_files(origin) if _belongs(name))
        if contract.kind == "python" and "1/model.py" not in files:
            raise ContractError(
                f'{model} has backend "python" but {origin / "1/model.py"} does not exist; '
                "expected its code there."
            )
        inputs = {
            "config": text,
            "files": digest_files(origin, files),
            "depends_on": depends_on,
            "untrained": untrained,
            "tools": self.tools,
            "graph": graph.inputs() if graph else None,
        }
        return ModelPlan(
            contract=contract,
            config_text=text,
            origin=origin,
            files=files,
            depends_on=depends_on,
            untrained=untrained,
            inputs_digest=sha256_of_json(inputs),
            graph=graph,
            carried=self.carried.get(model),
        )

    def _graph_plan(self, model: str) -> GraphPlan:
        request, spec = self.request, self.specs.get(model)
        if spec is None:
            raise ContractError(
                f"{model} is a graph, but the exporter has no spec for it (it has "
                f"{', '.join(sorted(self.specs))}). Add one to mien_export/registry.py."
            )
        network = request.networks.get(model, spec.default_network)
        weights = _weights(request, spec, network)
        precisions = tuple(
            name for name in spec.precisions if name == "fp32" or name in request.precisions
        )
        calibration = None
        if "int8" in precisions and request.calibration:
            px = self.sources[model].inputs[0].dims[-1]
            calibration = read_calibration(request.calibration, px)
        checkpoint = weights.checkpoint
        return GraphPlan(
            spec=spec,
            network=network,
            weights=weights,
            checkpoint_sha256=sha256_of_file(checkpoint) if checkpoint else None,
            precisions=precisions,
            calibration=calibration,
            licence=request.licences.get(model, "unknown" if checkpoint else "none"),
            allow_commercial=request.allow_commercial.get(model, checkpoint is None),
        )


def _belongs(name: str) -> bool:
    # Caches, and graphs that somebody built into the contracts' own directory.
    is_debris = "__pycache__" in name or name.endswith((".pyc", ".pyo", ".onnx", ".plan"))
    return name != CONFIG and not is_debris


def _require_intact(model_dir: Path, manifest: Manifest) -> None:
    problems = file_problems(model_dir, manifest)
    if problems:
        raise TargetError(
            f"{model_dir} is damaged: {'; '.join(problems)}. Name it with --model too, so that "
            "it is built again."
        )


def _weights(request: BuildRequest, spec: ExportSpec, network: str) -> WeightsRequest:
    checkpoint = request.checkpoints.get(spec.model)
    if checkpoint is not None:
        if not checkpoint.is_file():
            raise CheckpointError(
                f"checkpoint {checkpoint} for {spec.model} does not exist or is no file; "
                "give the path of a weights file."
            )
        return WeightsRequest(checkpoint=checkpoint)
    takes_random = spec.networks[network].takes_random_weights
    if takes_random and request.random_seed is not None:
        return WeightsRequest(seed=request.random_seed)
    random = ", or --weights random to try the machinery untrained" if takes_random else ""
    raise CheckpointError(
        f"{spec.model} has no weights. Give --checkpoint {spec.model}=PATH{random}."
    )


def check_names(request: BuildRequest, sources: Mapping[str, ModelContract], specs: Specs) -> None:
    """Refuse options that name an unknown model, graph, network or parameter."""
    for model in [*request.models, *request.parameters]:
        _require(model, sources, "model")
    by_graph = (request.networks, request.checkpoints, request.licences, request.allow_commercial)
    for option in by_graph:
        for model in option:
            _require(model, specs, "graph")
    for model, network in request.networks.items():
        _require(network, specs[model].networks, f"network of {model}")
    for model, values in request.parameters.items():
        for key in values:
            _require(key, sources[model].parameters, f"parameter of {model}")
        if "untrained" in values:
            raise UsageError(
                f"{model}.untrained cannot be set: it follows from the weights. "
                f"Give --checkpoint to have trained ones."
            )
    if "int8" in request.precisions and request.calibration is None:
        raise UsageError(
            "precision int8 needs calibration images: give --calibration DIR with some hundred "
            "aligned 112x112 face crops (JPEG or PNG), or an .npy of (N, 112, 112, 3) uint8."
        )


def _require(name: str, allowed: Mapping[str, object], what: str) -> None:
    if name not in allowed:
        raise UsageError(f"unknown {what} {name!r}; it has {', '.join(sorted(allowed))}.")
