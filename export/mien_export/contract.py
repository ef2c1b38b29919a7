# SPDX-License-Identifier: Apache-2.0
"""Strict reading of ``config.pbtxt``, and what must equal it.

Unknown or misspelt fields are errors. ``dims`` never include the batch; -1 stands for any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from mien_export.errors import ContractError

ONNX_FROM_TRITON = {
    "TYPE_BOOL": onnx.TensorProto.BOOL,
    "TYPE_UINT8": onnx.TensorProto.UINT8,
    "TYPE_INT8": onnx.TensorProto.INT8,
    "TYPE_INT32": onnx.TensorProto.INT32,
    "TYPE_INT64": onnx.TensorProto.INT64,
    "TYPE_FP16": onnx.TensorProto.FLOAT16,
    "TYPE_FP32": onnx.TensorProto.FLOAT,
    "TYPE_FP64": onnx.TensorProto.DOUBLE,
    "TYPE_STRING": onnx.TensorProto.STRING,
}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: ``dtype`` in Triton's spelling, ``dims`` without the batch."""

    name: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class EnsembleStep:
    """One call of an ensemble; both maps go from the model's tensor to the ensemble's."""

    model: str
    input_map: Mapping[str, str]
    output_map: Mapping[str, str]


@dataclass(frozen=True)
class ModelContract:
    """What a ``config.pbtxt`` promises."""

    name: str
    kind: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[EnsembleStep, ...] = ()
    preferred_batch_sizes: tuple[int, ...] = ()
    default_model_filename: str = ""

    @property
    def is_public(self) -> bool:
        """True where applications may call the model."""
        return self.parameters.get("public") == "true"


def parse_config(text: str, source: str) -> ModelContract:
    """Parse one ``config.pbtxt``.

    Args:
        text: contents of the file.
        source: what to call the file in an error.

    Raises:
        ContractError: the text does not follow Triton's schema, field by field.
    """
    config: Any = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ContractError(
            f"{source} is not a Triton model configuration: {error}. "
            "Every field must be one of Triton's ModelConfig; correct the named line."
        ) from error
    return ModelContract(
        name=config.name,
        kind=_kind(config),
        max_batch_size=config.max_batch_size,
        inputs=tuple(_tensor(item) for item in config.input),
        outputs=tuple(_tensor(item) for item in config.output),
        parameters={key: value.string_value for key, value in config.parameters.items()},
        steps=tuple(
            EnsembleStep(step.model_name, dict(step.input_map), dict(step.output_map))
            for step in config.ensemble_scheduling.step
        ),
        preferred_batch_sizes=tuple(config.dynamic_batching.preferred_batch_size),
        default_model_filename=config.default_model_filename,
    )


def read_config(path: Path) -> ModelContract:
    """Parse the file and require that its ``name`` equals its directory."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ContractError(f"{path} cannot be read: {error.strerror}.") from error
    contract = parse_config(text, str(path))
    if contract.name != path.parent.name:
        raise ContractError(
            f"{path} names the model {contract.name!r}; expected its directory name "
            f"{path.parent.name!r}. Make the two equal."
        )
    return contract


def _kind(config: Any) -> str:
    if config.platform == "ensemble":
        return "ensemble"
    return "python" if config.backend == "python" else "graph"


def _tensor(item: Any) -> TensorSpec:
    dtype = model_config_pb2.DataType.Name(item.data_type)
    return TensorSpec(item.name, dtype, tuple(item.dims), bool(getattr(item, "optional", False)))


def graph_mismatches(contract: ModelContract, graph: onnx.GraphProto) -> list[str]:
    """Say where a graph's inputs and outputs differ from the contract, names first.

    Returns:
        One sentence per difference; empty where the graph is exactly the contract.
    """
    initializers = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in initializers]
    return _side_mismatches("input", contract.inputs, inputs) + _side_mismatches(
        "output", contract.outputs, graph.output
    )


def _side_mismatches(
    side: str, wanted: Sequence[TensorSpec], found: Sequence[onnx.ValueInfoProto]
) -> list[str]:
    names, found_names = [spec.name for spec in wanted], [item.name for item in found]
    if sorted(names) != sorted(found_names):
        return [f"{side} names are {found_names}; the contract says {names}"]
    by_name = {item.name: item.type.tensor_type for item in found}
    return [
        problem for spec in wanted for problem in _tensor_mismatches(side, spec, by_name[spec.name])
    ]


def _tensor_mismatches(side: str, spec: TensorSpec, tensor: Any) -> list[str]:
    problems = []
    if tensor.elem_type != ONNX_FROM_TRITON.get(spec.dtype):
        found = onnx.TensorProto.DataType.Name(tensor.elem_type)
        problems.append(f"{side} {spec.name!r} is {found}; the contract says {spec.dtype}")
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    if not dims or dims[0] != -1:
        problems.append(f"{side} {spec.name!r} has dims {dims}; the first must be a free batch")
    elif len(dims) - 1 != len(spec.dims) or any(
        # A free dim of the contract admits any size; a fixed one must be fixed in the graph too.
        want != got and want != -1
        for want, got in zip(spec.dims, dims[1:], strict=True)
    ):
        problems.append(
            f"{side} {spec.name!r} has dims {dims[1:]} after the batch; "
            f"the contract says {list(spec.dims)}"
        )
    return problems


def ensemble_mismatches(
    contract: ModelContract, contracts: Mapping[str, ModelContract]
) -> list[str]:
    """Say where an ensemble's steps do not connect: models, names, dtypes, dims, batch limits."""
    problems: list[str] = []
    tensors = {spec.name: spec for spec in contract.inputs}
    known = [step for step in contract.steps if step.model in contracts]
    problems += [
        f"step {step.model!r} is not in the repository"
        for step in contract.steps
        if step.model not in contracts
    ]
    for step in known:
        problems += _outputs_into(tensors, step, contracts[step.model])
    for step in known:
        problems += _step_input_mismatches(tensors, step, contracts[step.model])
        if contracts[step.model].max_batch_size < contract.max_batch_size:
            problems.append(
                f"max_batch_size {contract.max_batch_size} exceeds that of step {step.model!r}, "
                f"{contracts[step.model].max_batch_size}"
            )
    for spec in contract.outputs:
        problems += _connection(f"output {spec.name!r}", spec, tensors.get(spec.name))
    return problems


def _outputs_into(
    tensors: dict[str, TensorSpec], step: EnsembleStep, model: ModelContract
) -> list[str]:
    problems = []
    outputs = {spec.name: spec for spec in model.outputs}
    for name, tensor in step.output_map.items():
        if name not in outputs:
            problems.append(f"step {step.model!r} has no output {name!r}")
        elif tensor in tensors:
            problems.append(f"tensor {tensor!r} has two sources, one of them {step.model!r}")
        else:
            tensors[tensor] = outputs[name]
    return problems


def _step_input_mismatches(
    tensors: Mapping[str, TensorSpec], step: EnsembleStep, model: ModelContract
) -> list[str]:
    inputs = {spec.name: spec for spec in model.inputs}
    problems = [
        f"step {step.model!r} has no input {name!r}"
        for name in step.input_map
        if name not in inputs
    ]
    for name, spec in inputs.items():
        if name in step.input_map:
            tensor = tensors.get(step.input_map[name])
            problems += _connection(f"input {name!r} of step {step.model!r}", spec, tensor)
        elif not spec.optional:
            problems.append(f"step {step.model!r} is not given its input {name!r}")
    return problems


def _connection(end: str, wanted: TensorSpec, found: TensorSpec | None) -> list[str]:
    if found is None:
        return [f"{end} is connected to nothing"]
    problems = []
    if found.dtype != wanted.dtype:
        problems.append(f"{end} is {wanted.dtype} but is given {found.dtype}")
    if found.dims != wanted.dims:
        problems.append(f"{end} has dims {list(wanted.dims)} but is given {list(found.dims)}")
    if found.optional and not wanted.optional and end.startswith("input"):
        problems.append(f"{end} is required but its source {found.name!r} is optional")
    return problems
