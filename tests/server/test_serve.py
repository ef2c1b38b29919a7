# SPDX-License-Identifier: Apache-2.0
"""What `mien-serve` refuses, and how it is told apart."""

import json
import os
import shutil
import socket
import sysconfig
from pathlib import Path

import pytest

from mien_server.serve import ServeError, Server, ServerOptions
from mien_server.serve.control import outside_in
from mien_server.serve.installation import embedded_installation, find_installation
from mien_server.serve.logs import error_lines
from mien_server.serve.preflight import check_installation, check_numpy, check_platform, check_port
from mien_server.serve.repository import ServedModel, read_repository
from mien_server.threads import available_cores, thread_budget
from tests.repositories import seal, write_model

CONFIG = 'name: "toy" backend: "onnxruntime"'


@pytest.fixture
def toy_repository(tmp_path):
    folder = write_model(tmp_path, "toy", CONFIG, {"1/model.onnx": b"graph"})
    seal(folder)
    return tmp_path


def test_a_repository_that_fits_its_manifests_is_read(toy_repository):
    (model,) = read_repository(toy_repository)

    assert (model.name, model.kind, model.untrained) == ("toy", "graph", True)
    assert model.precisions == ("fp32",)


def test_models_are_unloaded_in_layers_callers_first():
    def model(name, *depends_on):
        return ServedModel(name, "python", False, False, depends_on, "", ())

    layers = outside_in(
        [model("stage"), model("pipeline", "stage", "middle"), model("middle", "stage"),
         model("alone"), model("other", "middle")]
    )  # fmt: skip

    assert layers == [["alone", "other", "pipeline"], ["middle"], ["stage"]]
    assert outside_in([model("a", "b"), model("b", "a")]) == [["a", "b"]]


def change_graph(folder: Path) -> None:
    (folder / "1" / "model.onnx").write_bytes(b"grapH")


def remove_graph(folder: Path) -> None:
    (folder / "1" / "model.onnx").unlink()


def add_file(folder: Path) -> None:
    (folder / "1" / "model.py").write_text("import os")


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def garble_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def empty_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")


def age_manifest(folder: Path) -> None:
    seal(folder, schema=0)


def rename_model(folder: Path) -> None:
    seal(folder, model="other")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (change_graph, "changed after the build"),
        (remove_graph, "is missing"),
        (add_file, "not listed"),
        (remove_manifest, "has no manifest.json"),
        (garble_manifest, "cannot be read"),
        (empty_manifest, "cannot be read"),
        (age_manifest, "has schema 0"),
        (rename_model, "is about 'other'"),
    ],
)
def test_a_repository_that_was_tampered_with_is_refused(toy_repository, damage, says):
    damage(toy_repository / "toy")

    with pytest.raises(ServeError, match=says) as caught:
        read_repository(toy_repository)

    assert "mien-export build" in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_no_repository_says_how_to_build_one(tmp_path, path):
    with pytest.raises(ServeError, match="mien-export build"):
        read_repository(tmp_path / path)


def test_the_contracts_of_a_checkout_are_not_served_unbuilt():
    with pytest.raises(ServeError, match="not from a checkout's model_repository"):
        read_repository(Path(__file__).parents[2] / "model_repository")


@pytest.mark.parametrize("version", ["2.0.0", "2.4.6", "3.1"])
def test_numpy_2_is_refused_with_the_cure(version):
    with pytest.raises(ServeError, match="pip install 'numpy<2'"):
        check_numpy(version)


def test_the_installed_numpy_is_accepted():
    check_numpy()


def test_a_busy_port_is_refused_by_number():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ServeError, match=f"{port} .Address already in use.*another port"):
            check_port("127.0.0.1", port, "gRPC")


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 8001), ("127.0.0.1", 70_000)])
def test_an_impossible_address_is_refused(host, port):
    with pytest.raises(ServeError, match="cannot listen"):
        check_port(host, port, "gRPC")


def test_other_systems_than_linux_are_refused():
    with pytest.raises(ServeError, match="Linux only"):
        check_platform("darwin")


def test_libraries_that_are_missing_are_named_with_their_debian_package(tmp_path):
    """The real stub, without the folders that hold its libraries."""
    installation = embedded_installation(tmp_path)
    stub = shutil.copy(installation.python_stub, tmp_path / "stub")
    python = sysconfig.get_config_var("INSTSONAME")
    # The linker reads the names from the binary: one that exists nowhere stands for a bare machine.
    absent = python.replace("libpython3", "libpython9").encode()
    data = Path(stub).read_bytes()
    assert python.encode() in data
    installation.python_stub.write_bytes(data.replace(python.encode(), absent))

    with pytest.raises(ServeError, match=r"libpython9\.\d+\.so.*apt-get install") as caught:
        check_installation(installation)

    assert "--enable-shared" in str(caught.value)


def test_a_binary_that_is_none_is_refused(tmp_path):
    with pytest.raises(ServeError, match="not an executable"):
        find_installation(str(tmp_path / "tritonserver"), tmp_path)


def test_a_native_server_without_the_backends_we_need_is_refused(tmp_path):
    binary = tmp_path / "bin" / "tritonserver"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)

    with pytest.raises(ServeError, match="no python backend"):
        find_installation(str(binary), tmp_path)


def test_native_is_refused_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ServeError, match="NVIDIA's Triton image"):
        find_installation("native", tmp_path)


def test_a_variant_that_was_not_built_is_refused(toy_repository):
    options = ServerOptions(toy_repository, variant="int8", grpc_port=0, metrics_port=0)

    with pytest.raises(ServeError, match=r"it has fp32\. Build it"), Server(options):
        pass


def test_errors_are_picked_out_of_the_log_without_the_noise():
    log = [
        'I1122 01:51:20.701787 2550 server.cc:1] "all is well"',
        'E1122 01:51:20.701788 2550 cuda.cc:2] "CudaDriverHelper has not been initialized."',
        'E1122 01:51:20.701789 2550 model.cc:3] "failed to load toy"',
    ]

    assert error_lines(log) == ['"failed to load toy"']


@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_a_bad_thread_budget_is_refused(value):
    with pytest.raises(ValueError, match="MIEN_THREADS"):
        thread_budget({"MIEN_THREADS": value})


def test_the_thread_budget_is_the_cores_we_may_use_unless_told():
    assert thread_budget({}) == available_cores()
    assert thread_budget({"MIEN_THREADS": "3"}) == 3


@pytest.mark.parametrize(("limit", "cores"), [("100000 100000", 1), ("10000 100000", 1)])
def test_a_container_quota_bounds_the_cores(tmp_path, limit, cores):
    (tmp_path / "cpu.max").write_text(f"{limit}\n")

    assert available_cores(tmp_path) == cores


@pytest.mark.parametrize("limit", ["max 100000", "99900000 100000"])
def test_a_generous_quota_leaves_the_cores_we_have(tmp_path, limit):
    (tmp_path / "cpu.max").write_text(limit)

    assert available_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_manifests_are_json_a_person_can_read(toy_repository):
    assert json.loads((toy_repository / "toy" / "manifest.json").read_text())["schema"] == 1
