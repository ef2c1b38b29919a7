# SPDX-License-Identifier: Apache-2.0
"""Networks small enough for tests, behind specs of their own; contracts are the real ones."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mien_export.build import build_repository
from mien_export.checkpoints import rename_from_adaface, rename_from_arcface, rename_from_tface
from mien_export.networks.ir50 import IRBackbone, IRConfig
from mien_export.networks.iresnet import IResNet, IResNetConfig
from mien_export.onnx_files import save_onnx
from mien_export.parity import compare, example_cases, run_onnx
from mien_export.registry import PIPELINE_DEPENDENCIES, SPECS
from mien_export.request import BuildRequest
from mien_export.spec import ExportSpec, FirstGraph
from mien_export.specs import face_recognizer
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import FaceRecognizer

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "model_repository"
TINY_IRESNET = IResNetConfig(blocks=(1, 1, 1, 1), widths=(8, 8, 8, 16))
TINY_IR = IRConfig(blocks=(1, 1, 1, 1), widths=(8, 8, 8, 16))


def ignore(*_: object) -> None:
    """No one listens."""


@dataclasses.dataclass(frozen=True)
class HandmadeNetwork:
    """Writes its graph with onnx alone, in milliseconds; a Network like any other.

    ``on_half`` is called when half of the file is written. ``error`` makes its parity fail.
    """

    summary: str = "handmade"
    licence_note: str = "none"
    takes_random_weights: bool = True
    on_half: Callable[[], None] = ignore
    error: float = 0.0

    def fingerprint(self) -> str:
        return f"handmade {self.error}"

    def weights_files(self, checkpoint):
        return (checkpoint,)

    def write_onnx(self, contract, weights, tolerances, path) -> FirstGraph:
        save_onnx(make_handmade_model(weights.seed or 0), contract, path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        self.on_half()
        path.write_bytes(content)
        cases = example_cases(dataclasses.replace(contract, max_batch_size=2))
        found = run_onnx(path, cases)
        wrong = [{name: array + np.float32(self.error) for name, array in c.items()} for c in found]
        return FirstGraph(parameters=512 * 3 * 49, parity=compare(found, wrong, tolerances))


def make_handmade_model(seed: int) -> onnx.ModelProto:
    """A convolution over 16 x 16 tiles, a matrix product, a norm."""
    rng = np.random.default_rng(seed)
    arrays = {
        "kernel": rng.normal(0, 0.01, (4, 3, 16, 16)).astype(np.float32),
        "matrix": rng.normal(0, 0.1, (4 * 49, 512)).astype(np.float32),
        "bias": np.zeros(512, np.float32),
        "floor": np.array(1e-12, np.float32),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("Conv", ["crop_112", "kernel"], ["tiles"], strides=[16, 16]),
        helper.make_node("Flatten", ["tiles"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["features"]),
        helper.make_node("ReduceL2", ["features", "axis"], ["norm"], keepdims=1),
        helper.make_node("Clip", ["norm", "floor"], ["safe"]),
        helper.make_node("Div", ["features", "safe"], ["embedding"]),
    ]
    for node in nodes:
        node.name = f"node_{node.output[0]}"
    sides = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *dims])]
        for name, dims in (("crop_112", [3, 112, 112]), ("embedding", [512]))
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "handmade", *sides, constants)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def torch_network(make, config, rename, wrap=FaceRecognizer) -> TorchNetwork:
    return TorchNetwork("tiny", "none", config, functools.partial(make, config), wrap, rename)


NETWORKS = {
    "handmade": HandmadeNetwork(),
    "other": HandmadeNetwork(summary="the same, chosen by name"),
    "wrong": HandmadeNetwork(error=0.5),
    "iresnet": torch_network(IResNet, TINY_IRESNET, rename_from_arcface),
    "ir": torch_network(IRBackbone, TINY_IR, rename_from_tface),
    "adaface": torch_network(
        IRBackbone, TINY_IR, rename_from_adaface, functools.partial(FaceRecognizer, is_bgr=True)
    ),
}


def make_specs(**networks) -> dict[str, ExportSpec]:
    """The real specs with tiny networks, the first of them the default."""
    networks = networks or NETWORKS
    recognizer = dataclasses.replace(
        face_recognizer.SPEC, networks=networks, default_network=next(iter(networks))
    )
    return {**SPECS, "face_recognizer": recognizer}


def make_request(target: Path, **options) -> BuildRequest:
    return BuildRequest(target=target, **{"source": CONTRACTS, "random_seed": 0, **options})


class RecordingReporter:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def step(self, model: str, text: str) -> None:
        self.steps.append((model, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


def read_tree(directory: Path) -> dict[str, bytes]:
    """Every file by its path."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def build(target: Path, specs=None, reporter=None, **options):
    return build_repository(
        make_request(target, **options),
        specs or make_specs(),
        PIPELINE_DEPENDENCIES,
        reporter or RecordingReporter(),
    )


def rebuilt(built) -> set[str]:
    return {item.manifest.model for item in built if not item.is_reused}
