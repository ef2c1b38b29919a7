# SPDX-License-Identifier: Apache-2.0
"""Decides what a build will make, before it makes anything.

A *selected* model is built from the contracts; a *carried* one is taken over from the target as it
is, but for its ``untrained`` mark and the detector it uses, which follow its dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien_export.calibrated_decision import (
    PIPELINE,
    RECOGNIZER,
    decision_parameters,
    require_calibration_of,
)
from mien_export.calibration import read_calibration
from mien_export.config_text import set_parameters
from mien_export.contract import ModelContract, parse_config, read_config
from mien_export.errors import CheckpointError, ContractError, TargetError, UsageError
from mien_export.generator_digests import digest_parameters
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
from mien_export.repository_plan import GraphPlan, ModelPlan, RepositoryPlan
from mien_export.request import BuildRequest
from mien_export.selection import Dependencies, Needs, Selection, Specs, select_all, select_named
from mien_export.spec import Asset, ExportSpec, WeightsRequest

CONFIG = "config.pbtxt"


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
) -> RepositoryPlan:
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
        self.request, self.specs = request, specs
        self.sources = read_sources(request.source)
        self.needs = Needs(self.sources, specs, dependencies)
        self.selection = self._select(existing)
        selected = self.selection.selected
        kept = existing if request.models else {}
        self.carried = {name: kept[name] for name in kept if name not in selected}
        for name, manifest in self.carried.items():
            _require_intact(request.target / name, manifest)
        self.present = selected | self.carried.keys()
        if request.calibration_report and PIPELINE not in self.present:
            raise UsageError(
                f"--calibration-report is for {PIPELINE}, which is not built here. Add --model "
                f"{PIPELINE}, or leave the report out."
            )
        self.tools = {**tool_versions(), "sources": sources_digest(), **device}
        self.plans: dict[str, ModelPlan] = {}

    def plan(self) -> RepositoryPlan:
        for model in sorted(self.present):
            self._visit(model)
        return RepositoryPlan(tuple(self.plans.values()), self.selection.left_out)

    def _select(self, existing: Mapping[str, Manifest]) -> Selection:
        if self.request.models:
            return select_named(self.needs, self.request.models, existing, self.request.checkpoints)
        return select_all(self.needs, self.request.checkpoints)

    def _visit(self, model: str) -> None:
        if model in self.plans:
            return
        if model not in self.sources:
            raise ContractError(
                f"{model!r} is called by a pipeline or lies in the target, but has no contract in "
                f"{self.request.source}. Add it there, or build into an empty directory."
            )
        depends_on = self.needs.calls(model, self.present)
        assets = {} if model in self.carried else self.needs.assets(model)
        for name in (*depends_on, *sorted(assets)):
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
        for item in self.needs.stated(model, self.present):
            values |= item.sets if item.model not in before else {}
        values |= digest_parameters(model, self._weights_behind(model, depends_on))
        values |= self._parameters(model)
        report = self._calibration_report()
        if model == PIPELINE:
            values |= decision_parameters(report, self.request.parameters.get(model, {}))
        plan = self._model_plan(model, values, depends_on, untrained=untrained)
        recognizer = self.plans.get(RECOGNIZER)
        weights = recognizer.weights_digest if recognizer else None
        require_calibration_of(weights, plan.contract.parameters, report)
        return plan

    def _weights_behind(self, model: str, depends_on: tuple[str, ...]) -> dict[str, str]:
        """Digest of the weights of every graph that a model calls, or whose weights it holds."""
        digests: dict[str, str] = {}
        for name in (*depends_on, *sorted(self.needs.assets(model))):
            plan = self.plans[name]
            digests |= self._weights_behind(name, plan.depends_on)
            digests |= {name: plan.weights_digest} if plan.weights_digest else {}
        return digests

    def _calibration_report(self) -> Path | None:
        starters = self.request.starter_calibrations
        own = starters.get(RECOGNIZER) if RECOGNIZER in self.selection.selected else None
        return self.request.calibration_report or own

    def _parameters(self, model: str) -> dict[str, str]:
        """Values that the request sets, and before them those that belong to starter weights."""
        values: dict[str, str] = {}
        for graph, by_model in (self.request.starters or {}).items():
            values |= by_model.get(model, {}) if graph in self.selection.selected else {}
        return values | dict(self.request.parameters.get(model, {}))

    def _graph(self, model: str) -> ModelPlan:
        graph = self._graph_plan(model)
        values = self._parameters(model)
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
        assets, made_from = self._assets(model)
        files = tuple(
            name
            for name in model_files(origin)
            if _belongs(name) and not any(asset.holds(name) for asset, _ in assets)
        )
        if contract.kind == "python" and "1/model.py" not in files:
            raise ContractError(
                f'{model} has backend "python" but {origin / "1/model.py"} does not exist; '
                "expected its code there."
            )
        inputs = {
            "config": text,
            "files": digest_files(origin, (n for n in files if not self._is_made(model, n))),
            "depends_on": depends_on,
            "untrained": untrained,
            "tools": self.tools,
            "graph": graph.inputs() if graph else None,
            "assets": made_from,
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
            assets=assets,
            carried=self.carried.get(model),
        )

    def _assets(self, model: str) -> tuple[tuple[tuple[Asset, Path], ...], dict[str, Any]]:
        """Files of the model that are made from weights, and what decides their contents."""
        to_write: list[tuple[Asset, Path]] = []
        made_from: dict[str, Any] = {}
        for name, assets in self.needs.assets(model).items():
            if model in self.carried:
                digests = _weights_digests(self.carried.get(name))
            else:
                graph = self.plans[name].graph
                if graph is None or graph.weights.checkpoint is None:
                    raise CheckpointError(
                        f"{model} is made from the weights file of {name}, which is random here. "
                        f"Give --checkpoint {name}=PATH."
                    )
                digests = dict(graph.weights_digests)
                to_write += [(asset, graph.weights.checkpoint) for asset in assets]
            made_from |= {asset.file: digests | dict(asset.also_from()) for asset in assets}
        return tuple(to_write), made_from

    def _is_made(self, model: str, name: str) -> bool:
        made = self.needs.assets(model).values()
        return any(asset.holds(name) for assets in made for asset in assets)

    def _graph_plan(self, model: str) -> GraphPlan:
        request, spec = self.request, self.specs.get(model)
        if spec is None:
            raise ContractError(
                f"{model} is a graph, but the exporter has no spec for it (it has "
                f"{', '.join(sorted(self.specs))}). Add one to mien_export/registry.py."
            )
        network = request.networks.get(model, spec.default_network)
        weights = _weights(request, spec, network)
        asked = {"fp32", *request.precisions}
        if model not in request.calibration:
            asked.discard("int8")
        precisions = tuple(name for name in spec.precisions if name in asked)
        calibration = None
        if "int8" in precisions:
            calibration = read_calibration(request.calibration[model], self.sources[model])
        checkpoint, random = weights.checkpoint, weights.checkpoint is None
        files = spec.networks[network].weights_files(checkpoint) if checkpoint else ()
        own = model in (request.starters or {})
        source = "random" if random else "starter" if own else "checkpoint"
        return GraphPlan(
            spec=spec,
            network=network,
            weights=weights,
            source=source,
            weights_digests={file.name: sha256_of_file(file) for file in files},
            precisions=precisions,
            calibration=calibration,
            licence=request.licences.get(model, "none" if random else "unknown"),
            allow_commercial=request.allow_commercial.get(model, random),
        )


def _weights_digests(graph: Manifest | None) -> dict[str, str]:
    weights = (graph.weights if graph else None) or {}
    return {weights.get("file", ""): weights.get("sha256", ""), **weights.get("beside", {})}


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
    lacks = "" if request.starters is None else f" (the starter weights have no {network} for it)"
    raise CheckpointError(
        f"{spec.model} has no weights{lacks}. Give --checkpoint {spec.model}=PATH{random}."
    )
