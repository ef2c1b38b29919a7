# SPDX-License-Identifier: Apache-2.0
"""Makes the graphs of one model: fp32 first, then each further precision from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from mien_export.config_text import with_model_file
from mien_export.errors import CalibrationError
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.int8_from_onnx import convert_to_int8
from mien_export.onnx_files import opset_of
from mien_export.parity import (
    Arrays,
    ParityReport,
    compare,
    example_cases,
    run_onnx,
)
from mien_export.plan import CONFIG
from mien_export.repository_plan import GraphPlan, ModelPlan
from mien_export.spec import FirstGraph

FP32_FILE = "1/model.onnx"


@dataclass(frozen=True)
class EngineResult:
    """A TensorRT engine that was written beside the graphs."""

    file: str
    config_text: str
    parity: ParityReport
    facts: Mapping[str, str]


# (fp16 graph, fp32 graph, plan, model directory) -> engine; None where TensorRT is not asked for.
EngineBuilder = Callable[[Path, Path, ModelPlan, Path], EngineResult]


@dataclass(frozen=True)
class BuiltGraphs:
    """What goes into the manifest of a graph."""

    weights: dict[str, Any]
    graphs: dict[str, dict[str, Any]]


def build_graphs(
    plan: ModelPlan,
    graph: GraphPlan,
    model_dir: Path,
    step: Callable[[str], None],
    build_engine: EngineBuilder | None,
) -> BuiltGraphs:
    """Write every graph and config variant of a model into its directory.

    Raises:
        ParityError: a graph misses its tolerance; the caller must throw the directory away.
    """
    fp32_path = model_dir / FP32_FILE
    network = graph.spec.networks[graph.network]
    step(f"fp32 graph of {graph.network}, compared with its source")
    tolerances = graph.spec.tolerances["fp32"]
    first = network.write_onnx(plan.contract, graph.weights, tolerances, fp32_path)
    first.parity.raise_if_failed(f"{plan.model} fp32")
    records = {FP32_FILE: _record(fp32_path, "fp32", first.parity.to_manifest(tolerances))}
    variants = _Variants(plan, graph, model_dir, fp32_path)
    if "fp16" in graph.precisions:
        step("fp16 graph, compared with fp32")
        records["1/model.fp16.onnx"] = variants.fp16()
    if "int8" in graph.precisions:
        step("int8 graph: calibration, then compared with fp32 on inputs it has not seen")
        records["1/model.int8.onnx"] = variants.int8()
    if "tensorrt" in graph.precisions and build_engine:
        step("TensorRT engine: this takes minutes")
        records |= variants.tensorrt(build_engine)
    return BuiltGraphs(_weights_record(graph, first), records)


class _Variants:
    """The precisions made from one fp32 graph."""

    def __init__(self, plan: ModelPlan, graph: GraphPlan, model_dir: Path, fp32: Path) -> None:
        self.plan, self.graph, self.model_dir, self.fp32_path = plan, graph, model_dir, fp32

    def fp16(self) -> dict[str, Any]:
        path = self.model_dir / "1/model.fp16.onnx"
        self._write_fp16(path)
        report = self._compare(path, "fp16", self._examples())
        self._write_config("fp16", path.name)
        return _record(path, "fp16", report.to_manifest(self.graph.spec.tolerances["fp16"]))

    def _write_fp16(self, path: Path) -> None:
        spec = self.graph.spec
        convert_to_fp16(
            self.fp32_path,
            self.plan.contract,
            path,
            fp32_op_types=spec.fp32_op_types,
            fp32_node_prefix=spec.fp32_node_prefix,
            fp16_node_prefix=spec.fp16_node_prefix,
            fp32_up_to=spec.fp32_up_to,
        )

    def int8(self) -> dict[str, Any]:
        calibration = self.graph.calibration
        if calibration is None:
            name = self.plan.model
            raise CalibrationError(f"int8 needs inputs; give --calibration {name}=PATH.")
        path = self.model_dir / "1/model.int8.onnx"
        convert_to_int8(self.fp32_path, self.plan.contract, calibration.calibrating(), path)
        report = self._compare(path, "int8", self._in_batches(calibration.held_out()))
        self._write_config("int8", path.name)
        record = _record(path, "int8", report.to_manifest(self.graph.spec.tolerances["int8"]))
        # What `check` can repeat without the calibration inputs; not judged, noise is no face.
        seeded = compare(
            run_onnx(self.fp32_path, self._examples()),
            run_onnx(path, self._examples()),
            self.graph.spec.tolerances["int8"],
        )
        record["parity"]["seeded"] = {name: dict(value) for name, value in seeded.outputs.items()}
        return record

    def tensorrt(self, build_engine: EngineBuilder) -> dict[str, dict[str, Any]]:
        fp16_path = self.model_dir / "1/model.fp16.onnx"
        keep = fp16_path.exists()
        if not keep:
            self._write_fp16(fp16_path)
        result = build_engine(fp16_path, self.fp32_path, self.plan, self.model_dir)
        result.parity.raise_if_failed(f"{self.plan.model} tensorrt")
        self._write_text("tensorrt", result.config_text)
        parity = result.parity.to_manifest(self.graph.spec.tolerances["tensorrt"])
        opset = opset_of(onnx.load(fp16_path, load_external_data=False))
        if not keep:
            fp16_path.unlink()
        path = self.model_dir / result.file
        record = {"precision": "tensorrt", "opset": opset, "bytes": path.stat().st_size}
        return {result.file: {**record, **result.facts, "parity": parity}}

    def _compare(self, path: Path, precision: str, cases: list[Arrays]) -> ParityReport:
        tolerances = self.graph.spec.tolerances[precision]
        report = compare(run_onnx(self.fp32_path, cases), run_onnx(path, cases), tolerances)
        report.raise_if_failed(f"{self.plan.model} {precision}")
        return report

    def _examples(self) -> list[Arrays]:
        return list(example_cases(self.plan.contract))

    def _in_batches(self, inputs: Arrays) -> list[Arrays]:
        size, count = max(self.plan.contract.max_batch_size, 1), len(next(iter(inputs.values())))
        starts = range(0, count, size)
        return [{name: a[start : start + size] for name, a in inputs.items()} for start in starts]

    def _write_config(self, precision: str, filename: str) -> None:
        text = with_model_file(self.plan.config_text, filename, f"{self.plan.model}/{CONFIG}")
        self._write_text(precision, text)

    def _write_text(self, precision: str, text: str) -> None:
        path = self.model_dir / "configs" / f"{precision}.pbtxt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _record(path: Path, precision: str, parity: dict[str, Any]) -> dict[str, Any]:
    opset = opset_of(onnx.load(path, load_external_data=False))
    size = path.stat().st_size
    return {"precision": precision, "opset": opset, "bytes": size, "parity": parity}


def _weights_record(graph: GraphPlan, first: FirstGraph) -> dict[str, Any]:
    checkpoint = graph.weights.checkpoint
    beside = {
        name: digest
        for name, digest in graph.weights_digests.items()
        if checkpoint and name != checkpoint.name
    }
    return {
        "source": graph.source,
        "seed": graph.weights.seed,
        "network": graph.network,
        "parameters": first.parameters,
        "file": checkpoint.name if checkpoint else None,
        "sha256": first.checkpoint_sha256,
        "beside": beside,
        "licence": graph.licence,
        "allow_commercial": graph.allow_commercial,
    }
