# SPDX-License-Identifier: Apache-2.0
"""Builds a whole repository beside the target and publishes it in one step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien_export.contract import ensemble_mismatches
from mien_export.engine_from_onnx import EngineTools, load_engine_tools
from mien_export.errors import ContractError, TargetError
from mien_export.graphs import EngineBuilder, build_graphs
from mien_export.manifest import (
    MANIFEST,
    Manifest,
    digest_files,
    file_problems,
    model_files,
    read_manifest,
    tool_versions,
)
from mien_export.plan import CONFIG, make_plan, read_sources
from mien_export.reporting import Reporter
from mien_export.repository_plan import ModelPlan, RepositoryPlan
from mien_export.request import BuildRequest, check_names
from mien_export.selection import Dependencies, Specs
from mien_export.staging import link_or_copy, publish, staged


@dataclass(frozen=True)
class BuiltModel:
    """One line of the summary."""

    manifest: Manifest
    is_reused: bool


def build_repository(
    request: BuildRequest,
    specs: Specs,
    dependencies: Dependencies,
    reporter: Reporter,
    load_engines: Callable[[], EngineTools] = load_engine_tools,
) -> list[BuiltModel]:
    """Build what the request asks for; on any error the target stays as it was.

    Args:
        request: what the user asked for.
        specs: graphs that can be built.
        dependencies: calls between models that no config states.
        reporter: told what is going on.
        load_engines: finds TensorRT and a GPU; called only where engines are asked for.

    Raises:
        ExportError: one of its kinds; nothing was published.
    """
    engines = load_engines() if "tensorrt" in request.precisions else None
    target = request.target.resolve()
    request = BuildRequest(**{**vars(request), "target": target})
    check_names(request, read_sources(request.source), specs)
    _check_target(target)

    def report_waiting() -> None:
        reporter.note(f"another mien-export is building {target}; waiting for it to end")

    with staged(target, report_waiting) as staging:
        existing = _existing(target)
        device = engines.facts() if engines else {}
        plan = make_plan(request, specs, dependencies, existing, device)
        _check_connections(plan.models)
        _note_left_out(plan, request, reporter)
        builder = _Builder(request, staging, existing, reporter, engines)
        built = [builder.build(model) for model in plan.models]
        reporter.step("repository", f"publishing to {target}")
        publish(staging, target)
    return built


class _Builder:
    def __init__(
        self,
        request: BuildRequest,
        staging: Path,
        existing: Mapping[str, Manifest],
        reporter: Reporter,
        engines: EngineTools | None,
    ) -> None:
        self.request, self.staging, self.existing = request, staging, existing
        self.reporter = reporter
        self.build_engine: EngineBuilder | None = None
        if engines:
            cache = request.target.parent / f".{request.target.name}.tensorrt-timing.cache"
            self.build_engine = engines.builder(cache)

    def build(self, plan: ModelPlan) -> BuiltModel:
        before = self.existing.get(plan.model)
        old_dir, new_dir = self.request.target / plan.model, self.staging / plan.model
        problems = file_problems(old_dir, before) if before else []
        rebuild = self.request.force and not plan.carried
        if before and before.inputs_digest == plan.inputs_digest and not problems and not rebuild:
            self.reporter.step(plan.model, "unchanged")
            for name in [*before.files, MANIFEST]:
                link_or_copy(old_dir / name, new_dir / name)
            (new_dir / "1").mkdir(exist_ok=True)
            return BuiltModel(before, is_reused=True)
        return BuiltModel(self._build_anew(plan, new_dir), is_reused=False)

    def _build_anew(self, plan: ModelPlan, model_dir: Path) -> Manifest:
        self.reporter.step(plan.model, f"{plan.contract.kind} from its contract")
        # Triton wants a version directory even where nothing is in it.
        (model_dir / "1").mkdir(parents=True)
        (model_dir / CONFIG).write_text(plan.config_text, encoding="utf-8")
        for name in plan.files:
            (model_dir / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(plan.origin / name, model_dir / name)
        for asset, weights in plan.assets:
            self.reporter.step(plan.model, f"{asset.file} from {weights.name}")
            asset.write(weights, model_dir / asset.file)
        built = None
        if plan.graph:
            built = build_graphs(
                plan,
                plan.graph,
                model_dir,
                lambda text: self.reporter.step(plan.model, text),
                self.build_engine,
            )
        manifest = Manifest(
            model=plan.model,
            kind=plan.contract.kind,
            public=plan.contract.is_public,
            untrained=plan.untrained,
            depends_on=plan.depends_on,
            inputs_digest=plan.inputs_digest,
            files=digest_files(model_dir, model_files(model_dir)),
            tools=tool_versions(),
            weights=built.weights if built else None,
            graphs=built.graphs if built else None,
        )
        (model_dir / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        return manifest


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise TargetError(f"{target} is a file; expected a directory, or nothing yet.")
    if not target.is_dir():
        return
    foreign = sorted(item.name for item in target.iterdir() if not (item / MANIFEST).is_file())
    if foreign:
        raise TargetError(
            f"{target} holds {', '.join(foreign[:5])}, not made by mien-export; the whole "
            "directory would be replaced. Give an empty or new directory, or move these away."
        )


def _existing(target: Path) -> dict[str, Manifest]:
    manifests = {}
    for path in sorted(target.glob(f"*/{MANIFEST}")):
        try:
            manifests[path.parent.name] = read_manifest(path.parent)
        except TargetError:
            continue  # unreadable is as good as absent: the model is built again
    return manifests


def _check_connections(plans: Sequence[ModelPlan]) -> None:
    contracts = {plan.model: plan.contract for plan in plans}
    for contract in contracts.values():
        problems = ensemble_mismatches(contract, contracts) if contract.kind == "ensemble" else []
        if problems:
            raise ContractError(f"{contract.name} does not connect: {'; '.join(problems)}.")


def _note_left_out(plan: RepositoryPlan, request: BuildRequest, reporter: Reporter) -> None:
    for model, reason in sorted(plan.left_out.items()):
        reporter.note(f"{model} is left out: {reason}")
    for item in plan.models:
        if item.graph is None:
            continue
        left_out = set(request.precisions) - set(item.graph.precisions)
        uncalibrated = left_out.intersection(item.graph.spec.precisions)
        if uncalibrated:
            reporter.note(f"{item.model}: not made in int8 without --calibration {item.model}=PATH")
        if left_out - uncalibrated:
            names = ", ".join(sorted(left_out - uncalibrated))
            reporter.note(f"{item.model}: not offered in {names}; left out")
