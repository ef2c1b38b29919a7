# SPDX-License-Identifier: Apache-2.0
"""Our Python-based onnxruntime backend, alone and inside the real Triton."""

import json
import queue
import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import mien_server
from mien_server.contract import ModelContract
from mien_server.onnx_backend import run_batch
from mien_server.onnx_session import OnnxGraph, cuda_is_usable, session_options
from mien_server.serve import ServeError, Server, ServerOptions
from tests.repositories import graph_bytes, seal, write_model

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
make_node = onnx.helper.make_node
BACKEND = Path(mien_server.__file__).parent / "backends" / "onnxruntime" / "model.py"
TABLE = np.arange(20, dtype=np.float32).reshape(10, 2)


def contract_json(parameters=(), *, level=None, name="toy", inputs=(), outputs=()):
    config = {
        "name": name, "max_batch_size": 8, "default_model_filename": "model.onnx",
        "input": list(inputs), "output": list(outputs),
        "parameters": {key: {"string_value": value} for key, value in dict(parameters).items()},
    }  # fmt: skip
    if level is not None:
        config["optimization"] = {"graph": {"level": level}}
    return ModelContract.from_json(json.dumps(config))


def test_threads_come_from_the_config_and_else_from_the_budget():
    configured = session_options(contract_json({"intra_op_thread_count": "3"}), threads=7)
    budgeted = session_options(contract_json(), threads=7)

    assert configured.intra_op_num_threads == 3
    assert budgeted.intra_op_num_threads == 7
    assert budgeted.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("level", "expected"),
    [(None, "ENABLE_ALL"), (-1, "ENABLE_BASIC"), (1, "ENABLE_EXTENDED"), (2, "DISABLE_ALL")],
)
def test_graph_level_means_what_it_means_to_the_native_backend(level, expected):
    options = session_options(contract_json(level=level), threads=1)

    assert options.graph_optimization_level.name == f"ORT_{expected}"


def test_other_parameters_of_the_native_backend_are_understood():
    contract = contract_json(
        {"execution_mode": "1", "inter_op_thread_count": "2", "enable_mem_arena": "0",
         "enable_mem_pattern": "0"}
    )  # fmt: skip

    options = session_options(contract, threads=1)

    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.inter_op_num_threads == 2
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern


@pytest.mark.parametrize("contract", [contract_json(level=7)])
def test_an_unknown_graph_level_is_refused(contract):
    with pytest.raises(ValueError, match="level"):
        session_options(contract, threads=1)


def doubling(calls):
    def graph(inputs):
        calls.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2, "n": np.arange(len(inputs["x"]))[:, None]}

    return graph


def test_requests_run_together_once_and_get_their_own_rows():
    calls = []
    requests = [{"x": np.full((n, 2), n, np.float32)} for n in (1, 3, 2)]

    results = run_batch(doubling(calls), requests, batched=True)

    assert calls == [6]
    for request, result in zip(requests, results, strict=True):
        np.testing.assert_array_equal(result["y"], request["x"] * 2)
    assert [r["n"].ravel().tolist() for r in results] == [[0], [1, 2, 3], [4, 5]]


def test_requests_of_other_shapes_run_apart_and_keep_their_order():
    calls = []
    requests = [{"x": np.full((1, w), w, np.float32)} for w in (2, 5, 2)]

    results = run_batch(doubling(calls), requests, batched=True)

    assert sorted(calls) == [1, 2]
    assert [r["y"].shape[1] for r in results] == [2, 5, 2]


def test_without_batching_each_request_runs_alone():
    calls = []

    run_batch(doubling(calls), [{"x": np.zeros((2, 2), np.float32)}] * 3, batched=False)

    assert calls == [2, 2, 2]


def test_a_graph_that_differs_from_its_config_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(lookup_graph())
    spec = {"name": "index", "data_type": "TYPE_INT64", "dims": [1]}
    wrong = {"name": "row", "data_type": "TYPE_FP16", "dims": [1, 2]}

    with pytest.raises(ValueError, match="promises"):
        OnnxGraph(path, contract_json(inputs=[spec], outputs=[wrong]), threads=1)


def lookup_graph() -> bytes:
    """index -> row of a table; an index beyond it makes onnxruntime fail at run time."""
    return graph_bytes(
        [make_node("Gather", ["table", "index"], ["row"], axis=0)],
        [("index", INT64, ["batch", 1])],
        [("row", FLOAT, ["batch", 1, 2])],
        [("table", TABLE)],
    )


class LoggingTriton:
    """Stands for the adapter, which exists only inside Triton."""

    def __init__(self):
        self.warnings = []

    def log_warning(self, message):
        self.warnings.append(message)


@pytest.mark.skipif(cuda_is_usable(), reason="onnxruntime-gpu is installed")
def test_a_gpu_without_an_onnxruntime_for_it_is_warned_about_and_not_fatal(tmp_path, monkeypatch):
    """KIND_AUTO on a developer's machine: a GPU is there, `mien[server]` brought the CPU build."""
    triton_log = LoggingTriton()
    monkeypatch.setitem(sys.modules, "mien_server.triton_adapter", triton_log)
    monkeypatch.setattr(mien_server, "triton_adapter", triton_log, raising=False)
    backend = runpy.run_path(str(BACKEND))["TritonPythonModel"]()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(lookup_graph())
    config = {
        "name": "lookup", "max_batch_size": 8, "parameters": {},
        "input": [{"name": "index", "data_type": "TYPE_INT64", "dims": [1]}],
        "output": [{"name": "row", "data_type": "TYPE_FP32", "dims": [1, 2]}],
    }  # fmt: skip

    backend.initialize(
        {
            "model_config": json.dumps(config), "model_repository": str(tmp_path),
            "model_version": "1", "model_instance_kind": "GPU", "model_instance_device_id": "0",
        }
    )  # fmt: skip

    (warning,) = triton_log.warnings
    assert "pip install 'mien[gpu]'" in warning
    np.testing.assert_array_equal(backend.graph({"index": np.array([[3]])})["row"][0, 0], TABLE[3])


LOOKUP_CONFIG = """
name: "lookup" backend: "onnxruntime" max_batch_size: 64
input  [ { name: "index" data_type: TYPE_INT64 dims: [ 1 ] } ]
output [ { name: "row" data_type: TYPE_FP32 dims: [ 1, 2 ] } ]
dynamic_batching { max_queue_delay_microseconds: 100000 preferred_batch_size: [ 16 ] }
instance_group [ { count: 1 kind: KIND_AUTO } ]
model_warmup [ { name: "w" batch_size: 2 inputs {
  key: "index" value { data_type: TYPE_INT64 dims: [ 1 ] zero_data: true } } } ]
"""

UNBATCHED_CONFIG = """
name: "unbatched" backend: "onnxruntime" max_batch_size: 0
input  [ { name: "index" data_type: TYPE_INT64 dims: [ -1, 1 ] } ]
output [ { name: "row" data_type: TYPE_FP32 dims: [ -1, 1, 2 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


@pytest.fixture(scope="module")
def lookup_server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    for name, config in (("lookup", LOOKUP_CONFIG), ("unbatched", UNBATCHED_CONFIG)):
        folder = write_model(repository, name, config, {"1/model.onnx": lookup_graph()})
        seal(folder)
    options = ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as server:
        yield server


def index_input(values):
    tensor = triton.InferInput("index", [len(values), 1], "INT64")
    tensor.set_data_from_numpy(np.array(values, np.int64)[:, None])
    return tensor


@pytest.mark.triton
def test_the_request_at_fault_fails_and_its_batch_mates_do_not(lookup_server):
    answers: queue.Queue = queue.Queue()

    with triton.InferenceServerClient(lookup_server.grpc_address) as client:
        for key in range(16):
            index = 99 if key == 5 else key % 10

            def keep(result, error, key=key):
                answers.put((key, error or result.as_numpy("row")))

            client.async_infer("lookup", [index_input([index])], keep)
        rows = dict(answers.get(timeout=30) for _ in range(16))
        statistics = client.get_inference_statistics("lookup").model_stats[0]

    assert isinstance(rows[5], InferenceServerException)
    assert "mien.MODEL_FAILED" in str(rows[5])
    for key in set(range(16)) - {5}:
        np.testing.assert_array_equal(rows[key][0, 0], TABLE[key % 10])
    # They did meet in a batch: far fewer executions than requests.
    assert statistics.execution_count < 16


@pytest.mark.triton
def test_a_model_without_batching_is_served_too(lookup_server):
    with triton.InferenceServerClient(lookup_server.grpc_address) as client:
        rows = client.infer("unbatched", [index_input([3, 1])]).as_numpy("row")

    np.testing.assert_array_equal(rows[:, 0], TABLE[[3, 1]])


@pytest.mark.triton
def test_warm_up_runs_before_the_server_is_ready(lookup_server):
    """The config asks for a warm-up of two; a failing one must keep the model from loading."""
    failing = LOOKUP_CONFIG.replace("zero_data: true", "random_data: true")
    folder = lookup_server.options.repository.parent / "failing-warmup"
    write_model(folder, "lookup", failing, {"1/model.onnx": lookup_graph()})
    seal(folder / "lookup")
    options = ServerOptions(folder, grpc_port=0, metrics_port=0, tritonserver="embedded")

    with pytest.raises(ServeError, match=r"Gather|warm"), Server(options):
        pass


@pytest.mark.triton
def test_a_graph_that_breaks_its_promise_keeps_the_server_from_starting(tmp_path):
    config = LOOKUP_CONFIG.replace('name: "row"', 'name: "column"')
    write_model(tmp_path, "lookup", config, {"1/model.onnx": lookup_graph()})
    seal(tmp_path / "lookup")
    options = ServerOptions(tmp_path, grpc_port=0, metrics_port=0, tritonserver="embedded")

    with pytest.raises(ServeError, match="promises"), Server(options):
        pass
