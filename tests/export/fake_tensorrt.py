# SPDX-License-Identifier: Apache-2.0
"""TensorRT's Python module as far as the exporter uses it, computing with onnxruntime.

It refuses what TensorRT refuses: networks that are not strongly typed before version 11, shapes
outside the profile, timing caches of another device, missing addresses. An "engine" is the ONNX
file behind a header. Names and signatures are those of the 10.x and 11.x bindings.
"""

import enum
import json
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

HEADER = b"engine"


class StronglyTypedFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class NoFlags(enum.IntEnum):
    """A later version may drop the deprecated flag; nothing may depend on it."""

    PREFER_JIT_PYTHON_PLUGINS = 2


class Logger:
    ERROR = 1

    def __init__(self, severity: int):
        assert severity == Logger.ERROR


class ParserError:
    def __init__(self, text: str):
        self.text = text

    def desc(self) -> str:
        return self.text


class Network:
    def __init__(self):
        self.onnx = b""


class TimingCache:
    def __init__(self, content: bytes):
        self.kernels = json.loads(content) if content else {"device": "9.0", "kernels": 0}

    def serialize(self) -> memoryview:
        return memoryview(json.dumps(self.kernels).encode())


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, smallest, best, largest) -> None:
        assert all(a <= b <= c for a, b, c in zip(smallest, best, largest, strict=True))
        self.shapes[name] = [smallest, best, largest]


class BuilderConfig:
    def __init__(self):
        self.cache, self.profiles = None, []

    def create_timing_cache(self, content: bytes) -> TimingCache:
        return TimingCache(content)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        if cache.kernels["device"] != "9.0" and not ignore_mismatch:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> TimingCache:
        return self.cache

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Context:
    def __init__(self, engine: "Engine"):
        self.engine, self.shapes, self.addresses = engine, {}, {}

    def set_input_shape(self, name, shape) -> bool:
        smallest, _, largest = self.engine.shapes[name]
        assert all(a <= b <= c for a, b, c in zip(smallest, shape, largest, strict=True))
        self.shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name) -> tuple[int, ...]:
        batch = next(iter(self.shapes.values()))[0]
        return self.shapes.get(name) or (batch, *self.engine.outputs[name])

    def set_tensor_address(self, name, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 0
        memory = FakeDevice.memory
        feed = {n: memory[self.addresses[n]].reshape(s) for n, s in self.shapes.items()}
        names = list(self.engine.outputs)
        for name, array in zip(names, self.engine.session.run(names, feed), strict=True):
            memory[self.addresses[name]] = array * np.float32(self.engine.error)
        return True


class Engine:
    def __init__(self, content: bytes, error: float):
        shapes, _, graph = content[len(HEADER) :].partition(b"\n")
        self.shapes, self.error = json.loads(shapes), error
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.outputs = {item.name: item.shape[1:] for item in self.session.get_outputs()}

    @property
    def num_io_tensors(self) -> int:
        return len(self.shapes) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.shapes, *self.outputs][index]

    def get_tensor_dtype(self, _name: str) -> str:
        return "FLOAT"

    def create_execution_context(self) -> Context:
        return Context(self)


class FakeDevice:
    """Host memory behind invented addresses."""

    compute_capability = "9.0"
    memory: dict[int, np.ndarray] = {}  # noqa: RUF012  # one address space, as on a device

    def __init__(self):
        self.open_contexts = 0

    @contextmanager
    def context(self):
        self.open_contexts += 1
        yield
        self.open_contexts -= 1

    @contextmanager
    def buffer(self, size_bytes: int):
        assert self.open_contexts == 1
        assert size_bytes > 0
        address = max(self.memory, default=4096) + 1
        self.memory[address] = np.zeros(0)
        yield address
        del self.memory[address]

    def upload(self, address: int, array) -> None:
        self.memory[address] = array.copy()

    def download(self, array, address: int) -> None:
        array[...] = self.memory[address]


def make_tensorrt(version: str, *, rejects: str = "", builds: bool = True, error: float = 1.0):
    """The module. ``rejects``: the parser's complaint; ``error``: factor on every output."""
    major = int(version.split(".")[0])
    return types.SimpleNamespace(
        __version__=version,
        Logger=Logger,
        Builder=make_builder(major, builds=builds),
        OnnxParser=make_parser(rejects),
        Runtime=make_runtime(error),
        NetworkDefinitionCreationFlag=StronglyTypedFlag if major == 10 else NoFlags,
        nptype=lambda _dtype: np.float32,
    )


def make_parser(rejects: str) -> type:
    class OnnxParser:
        def __init__(self, network: Network, logger: Logger):
            self.network, self.num_errors = network, int(bool(rejects))

        def parse_from_file(self, path: str) -> bool:
            self.network.onnx = Path(path).read_bytes()
            return not rejects

        def get_error(self, _index: int) -> ParserError:
            return ParserError(rejects)

    return OnnxParser


def make_builder(major: int, *, builds: bool) -> type:
    class Builder:
        def __init__(self, logger: Logger):
            assert isinstance(logger, Logger)

        def create_network(self, flags: int) -> Network:
            typed = flags == 1 << StronglyTypedFlag.STRONGLY_TYPED
            assert typed or (major >= 11 and flags == 0), "weakly typed"
            return Network()

        def create_builder_config(self) -> BuilderConfig:
            return BuilderConfig()

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Network, config: BuilderConfig):
            if not builds:
                return None
            config.cache.kernels["kernels"] += 1
            shapes = json.dumps(config.profiles[0].shapes).encode()
            return memoryview(HEADER + shapes + b"\n" + network.onnx)

    return Builder


def make_runtime(error: float) -> type:
    class Runtime:
        def __init__(self, logger: Logger):
            assert isinstance(logger, Logger)

        def deserialize_cuda_engine(self, content: bytes) -> Engine:
            return Engine(content, error)

    return Runtime
