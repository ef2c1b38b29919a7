# SPDX-License-Identifier: Apache-2.0
"""ONNX graph to TensorRT engine: the only module that knows TensorRT, and only when asked.

Networks are strongly typed, so precision is decided in the ONNX graph. TensorRT 10 does that where
a flag is set; TensorRT 11 always does and deprecates the flag. Every other name is in both.

An engine runs only with the TensorRT version and the compute capability it was built with; both
stand in its file name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mien_export.config_text import with_tensorrt
from mien_export.contract import ModelContract
from mien_export.cuda_driver import CudaDriver
from mien_export.errors import ConversionError, MissingToolError
from mien_export.graphs import EngineBuilder, EngineResult
from mien_export.parity import Array, Arrays, compare, example_cases, run_onnx
from mien_export.plan import CONFIG
from mien_export.repository_plan import ModelPlan

_OLDEST_MAJOR = 10


class Device(Protocol):
    """What is needed of a GPU; ``CudaDriver`` is one."""

    @property
    def compute_capability(self) -> str:
        """Such as ``"9.0"``."""

    def context(self) -> Any:
        """Make the device current while the context manager is open."""

    def buffer(self, size_bytes: int) -> Any:
        """Context manager around device memory; gives its address."""

    def upload(self, address: int, array: Array) -> None:
        """Copy to the device."""

    def download(self, array: Array, address: int) -> None:
        """Copy from the device."""


@dataclass(frozen=True)
class EngineTools:
    """TensorRT's Python module and the device that engines are built for."""

    trt: Any
    device: Device

    def facts(self) -> dict[str, str]:
        """What an engine is tied to."""
        capability = self.device.compute_capability
        return {"tensorrt": str(self.trt.__version__), "compute_capability": capability}

    def builder(self, timing_cache: Path) -> EngineBuilder:
        """Give the function that the build calls per model."""

        def build(fp16: Path, fp32: Path, plan: ModelPlan, model_dir: Path) -> EngineResult:
            facts = self.facts()
            name = engine_file_name(facts["tensorrt"], facts["compute_capability"])
            engine = model_dir / "1" / name
            with self.device.context():
                build_engine(self.trt, fp16, plan.contract, engine, timing_cache)
                cases: list[Arrays] = list(example_cases(plan.contract))
                found = run_engine(self.trt, self.device, engine, cases)
            tolerances = plan.graph.spec.tolerances["tensorrt"] if plan.graph else {}
            parity = compare(run_onnx(fp32, cases), found, tolerances)
            by_capability = {facts["compute_capability"]: name}
            text = with_tensorrt(plan.config_text, by_capability, f"{plan.model}/{CONFIG}")
            return EngineResult(f"1/{name}", text, parity, facts)

        return build


def load_engine_tools() -> EngineTools:
    """Import TensorRT and find the GPU.

    Raises:
        MissingToolError: one of the two is not there, or TensorRT is too old.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise MissingToolError(
            f"precision tensorrt needs the TensorRT Python package, which does not load here "
            f"({error}). Install it from NVIDIA's index (pip install tensorrt --extra-index-url "
            "https://pypi.nvidia.com) or build inside NVIDIA's TensorRT container. Every other "
            "precision works without it."
        ) from error
    require_version(str(getattr(trt, "__version__", "0")))
    return EngineTools(trt, CudaDriver())


def require_version(version: str) -> None:
    """Refuse TensorRT before 10, which has no strongly typed networks of this kind."""
    major = version.split(".")[0]
    if not major.isdigit() or int(major) < _OLDEST_MAJOR:
        raise MissingToolError(
            f"TensorRT is {version}; expected {_OLDEST_MAJOR} or later. Upgrade it, or leave "
            "precision tensorrt out."
        )


def engine_file_name(version: str, compute_capability: str) -> str:
    """Name an engine by what it is tied to."""
    return f"model.trt{version}.sm{compute_capability.replace('.', '')}.plan"


def profile_batches(max_batch_size: int, preferred: Sequence[int]) -> tuple[int, int, int]:
    """Choose the batch sizes an engine is tuned for.

    Args:
        max_batch_size: of the config; 0 (no batching) counts as 1.
        preferred: ``preferred_batch_size`` of the config; the largest usable one is the optimum.

    Returns:
        Smallest, optimal and largest batch.
    """
    largest = max(max_batch_size, 1)
    usable = [size for size in preferred if 1 <= size <= largest]
    return 1, max(usable, default=max(largest // 2, 1)), largest


def network_flags(trt: Any) -> int:
    """Ask for strong typing wherever TensorRT still asks to be asked."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def build_engine(
    trt: Any, source: Path, contract: ModelContract, path: Path, timing_cache: Path
) -> None:
    """Build one engine.

    Args:
        trt: TensorRT's Python module.
        source: ONNX graph whose types are those of the engine.
        contract: gives the input dims and batch sizes.
        path: engine file to write.
        timing_cache: measured kernel times, read and written; makes later builds fast.

    Raises:
        ConversionError: TensorRT does not take the graph.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise ConversionError(
            f"TensorRT {trt.__version__} does not take the graph of {contract.name}: "
            f"{'; '.join(reasons)}. Leave precision tensorrt out."
        )
    config = builder.create_builder_config()
    known = timing_cache.read_bytes() if timing_cache.is_file() else b""
    # A cache of another version or GPU is refused by TensorRT; then start an empty one.
    if not config.set_timing_cache(config.create_timing_cache(known), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)
    config.add_optimization_profile(_profile(builder, contract))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ConversionError(
            f"TensorRT {trt.__version__} could not build an engine for {contract.name}; its log "
            "above says why. Leave precision tensorrt out."
        )
    path.write_bytes(bytes(plan))
    timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))


def _profile(builder: Any, contract: ModelContract) -> Any:
    profile = builder.create_optimization_profile()
    batches = profile_batches(contract.max_batch_size, contract.preferred_batch_sizes)
    for spec in contract.inputs:
        profile.set_shape(spec.name, *((batch, *spec.dims) for batch in batches))
    return profile


def run_engine(
    trt: Any, device: Device, engine_path: Path, cases: Sequence[Arrays]
) -> list[dict[str, Array]]:
    """Run an engine on parity inputs; the device must be current."""
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(engine_path.read_bytes())
    if engine is None:
        raise ConversionError(f"{engine_path.name} cannot be loaded right after it was built.")
    context = engine.create_execution_context()
    return [_run_case(trt, device, engine, context, case) for case in cases]


def _run_case(
    trt: Any, device: Device, engine: Any, context: Any, case: Arrays
) -> dict[str, Array]:
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    outputs: dict[str, Array] = {}
    addresses: Mapping[str, int]
    with ExitStack() as stack:
        addresses = {}
        for name, array in case.items():
            context.set_input_shape(name, array.shape)
            addresses[name] = stack.enter_context(device.buffer(array.nbytes))
            device.upload(addresses[name], array)
        for name in names:
            if name not in case:
                dtype = trt.nptype(engine.get_tensor_dtype(name))
                outputs[name] = np.empty(tuple(context.get_tensor_shape(name)), dtype)
                addresses[name] = stack.enter_context(device.buffer(outputs[name].nbytes))
        for name, address in addresses.items():
            context.set_tensor_address(name, address)
        if not context.execute_async_v3(0):
            raise ConversionError("TensorRT could not run the engine it just built.")
        for name, array in outputs.items():
            device.download(array, addresses[name])
    return outputs
