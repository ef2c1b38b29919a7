# SPDX-License-Identifier: Apache-2.0
"""Verifies a built repository again, from nothing but the repository itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from mien_export.calibrated_decision import RECOGNIZER, calibrated_weights
from mien_export.contract import (
    ModelContract,
    ensemble_mismatches,
    graph_mismatches,
    parse_config,
    read_config,
)
from mien_export.errors import ExportError, TargetError
from mien_export.manifest import (
    MANIFEST,
    Manifest,
    file_problems,
    read_manifest,
    weights_digest,
)
from mien_export.parity import Arrays, Tolerance, compare, example_cases, run_onnx
from mien_export.plan import CONFIG

# An int8 graph is repeated on seeded images; another CPU rounds some activations the other way.
_INT8_SLACK = 0.01
# fp32 outputs for a sample alone and in a batch differ in summation order at most.
_BATCH_COSINE = 0.99999


@dataclass(frozen=True)
class ModelCheck:
    """What was found about one model."""

    model: str
    untrained: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class CheckReport:
    """What was found about a repository; true where nothing is wrong."""

    models: tuple[ModelCheck, ...]
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.problems and all(model.ok for model in self.models)

    def to_json(self) -> dict[str, Any]:
        """Give the document that ``check --json`` prints."""
        return {"ok": bool(self), **asdict(self)}


def check_repository(directory: Path) -> CheckReport:
    """Check manifests, files, graphs, connections and parity between precisions.

    Raises:
        TargetError: there is no such directory, or no model in it.
    """
    if not directory.is_dir():
        raise TargetError(f"{directory} is no directory; give a repository made by mien-export.")
    entries = sorted(directory.iterdir())
    model_dirs = [entry for entry in entries if entry.is_dir()]
    if not any((entry / MANIFEST).is_file() for entry in model_dirs):
        raise TargetError(
            f"{directory} holds no model with a {MANIFEST}; give a repository made by mien-export."
        )
    strays = tuple(f"{entry.name} is no model" for entry in entries if not entry.is_dir())
    contracts, manifests = _readable(model_dirs)
    checks = [_Check(entry, contracts, manifests).run() for entry in model_dirs]
    return CheckReport(tuple(checks), strays)


def _readable(
    model_dirs: Sequence[Path],
) -> tuple[dict[str, ModelContract], dict[str, Manifest]]:
    contracts, manifests = {}, {}
    for entry in model_dirs:
        try:
            contracts[entry.name] = read_config(entry / CONFIG)
            manifests[entry.name] = read_manifest(entry)
        except ExportError:
            continue  # _Check reads them again and reports it
    return contracts, manifests


class _Check:
    """Checks one model directory; later checks are skipped where earlier ones fail."""

    def __init__(
        self,
        model_dir: Path,
        contracts: Mapping[str, ModelContract],
        manifests: Mapping[str, Manifest],
    ) -> None:
        self.model_dir, self.contracts, self.manifests = model_dir, contracts, manifests
        self.problems: list[str] = []
        self.notes: list[str] = []

    def run(self) -> ModelCheck:
        untrained = False
        try:
            manifest = read_manifest(self.model_dir)
            untrained = manifest.untrained
            contract = read_config(self.model_dir / CONFIG)
            self.problems += file_problems(self.model_dir, manifest)
            self._statements(manifest, contract)
            if not self.problems:
                self._variants(contract)
                self._graphs(manifest, contract)
        except (ExportError, DecodeError, OSError) as error:
            self.problems.append(str(error))
        name = self.model_dir.name
        return ModelCheck(name, untrained, tuple(self.problems), tuple(self.notes))

    def _statements(self, manifest: Manifest, contract: ModelContract) -> None:
        """What manifest and config say must agree, with each other and with the other models."""
        if (manifest.model, manifest.kind) != (contract.name, contract.kind):
            self.problems.append(
                f"the manifest is of {manifest.kind} {manifest.model!r}, the config of "
                f"{contract.kind} {contract.name!r}"
            )
        if manifest.public != contract.is_public:
            self.problems.append("public differs between manifest and config")
        stated = contract.parameters.get("untrained")
        if stated is not None and (stated == "true") != manifest.untrained:
            self.problems.append("untrained differs between manifest and config")
        for name in manifest.depends_on:
            if name not in self.manifests:
                self.problems.append(f"depends on {name!r}, which is not there or not readable")
            elif self.manifests[name].untrained and not manifest.untrained:
                self.problems.append(f"claims to be trained, but depends on untrained {name!r}")
        if contract.kind == "ensemble":
            self.problems += ensemble_mismatches(contract, self.contracts)
        recognizer = self.manifests.get(RECOGNIZER)
        if calibrated_weights(contract.parameters) not in (None, _weights_of(recognizer)):
            self.problems.append(f"is calibrated for other weights than {RECOGNIZER} has")

    def _variants(self, contract: ModelContract) -> None:
        for path in sorted(self.model_dir.glob("configs/*.pbtxt")):
            variant = parse_config(path.read_text(encoding="utf-8"), str(path))
            same = (variant.name, variant.max_batch_size, variant.inputs, variant.outputs)
            if same != (contract.name, contract.max_batch_size, contract.inputs, contract.outputs):
                self.problems.append(f"configs/{path.name} differs from {CONFIG} in its tensors")
            engine = path.stem == "tensorrt"
            if not engine and not (self.model_dir / "1" / variant.default_model_filename).is_file():
                self.problems.append(f"configs/{path.name} names a graph that is not there")

    def _graphs(self, manifest: Manifest, contract: ModelContract) -> None:
        graphs = manifest.graphs or {}
        if manifest.kind == "graph" and "1/model.onnx" not in graphs:
            self.problems.append("the manifest lists no graph 1/model.onnx")
        for name in graphs:
            if name.endswith(".onnx"):
                model = onnx.load(self.model_dir / name)
                found = graph_mismatches(contract, model.graph)
                self.problems += [f"{name}: {problem}" for problem in found]
            else:
                self.notes.append(f"{name} was not run: engines run on their own GPU only")
        if graphs and not self.problems:
            self._parity(graphs, contract)

    def _parity(self, graphs: Mapping[str, Mapping[str, Any]], contract: ModelContract) -> None:
        cases: list[Arrays] = list(example_cases(contract))
        reference = run_onnx(self.model_dir / "1/model.onnx", cases)
        self._finite(reference)
        self._batching(cases, reference)
        for name, graph in graphs.items():
            if name == "1/model.onnx" or not name.endswith(".onnx"):
                continue
            found = run_onnx(self.model_dir / name, cases)
            report = compare(reference, found, _tolerances(graph["parity"]))
            self.problems += [f"{name}: {failure}" for failure in report.failures]
            self.notes += [
                f"{name} {output}: cosine {figures['min_cosine']:.6f} to fp32"
                for output, figures in report.outputs.items()
            ]

    def _finite(self, outputs: Sequence[Arrays]) -> None:
        for case in outputs:
            for name, array in case.items():
                if not np.isfinite(array).all():
                    self.problems.append(f"1/model.onnx: {name} has NaN or infinite values")

    def _batching(self, cases: Sequence[Arrays], outputs: Sequence[Arrays]) -> None:
        """The first sample of the full batch must not know its neighbours."""
        one = {name: array[:1] for name, array in cases[-1].items()}
        alone = run_onnx(self.model_dir / "1/model.onnx", [one])
        first = [{key: array[:1] for key, array in outputs[-1].items()}]
        reason = "a sample does not know its batch"
        tolerances = {key: Tolerance(reason, min_cosine=_BATCH_COSINE) for key in first[0]}
        failures = compare(alone, first, tolerances).failures
        self.problems += [f"1/model.onnx alone and in a batch: {failure}" for failure in failures]


def _weights_of(graph: Manifest | None) -> str | None:
    return weights_digest(graph.weights) if graph and graph.weights else None


def _tolerances(parity: Mapping[str, Any]) -> dict[str, Tolerance]:
    seeded = parity.get("seeded")
    if seeded is None:
        return {name: Tolerance(**item) for name, item in parity["tolerances"].items()}
    reason = "the figure recorded when it was built"
    return {
        name: Tolerance(reason, min_cosine=figures["min_cosine"] - _INT8_SLACK)
        for name, figures in seeded.items()
    }
