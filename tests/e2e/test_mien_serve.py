# SPDX-License-Identifier: Apache-2.0
"""The command `mien-serve`, as a person or a supervisor runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mien import Client
from tests.photographs import astronaut, encoded
from tests.repositories import seal

pytestmark = pytest.mark.triton

PHOTO = encoded(astronaut())
START_S = 60


class Serving:
    """`mien-serve` in a process of its own, on free ports."""

    def __init__(self, repository: Path, folder: Path, *options: str) -> None:
        self.ready_file = folder / "ready.json"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mien_server.serve", str(repository)),
                *("--grpc-port", "0", "--metrics-port", "0"),
                *("--ready-file", str(self.ready_file)),
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> dict:
        deadline = time.monotonic() + START_S
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return json.loads(self.ready_file.read_text())

    def family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def finish(self, timeout_s: float = 60) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err


@pytest.fixture
def serving(repository, tmp_path):
    started = []

    def start(*options: str, path: Path = repository) -> Serving:
        started.append(Serving(path, tmp_path, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
        one.process.communicate(timeout=60)


def is_triton(process: psutil.Process) -> bool:
    try:
        return process.name() == "tritonserver"
    except psutil.NoSuchProcess:  # it ended between two looks
        return False


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []


def regions(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"mien_{pid}_*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_leaves_nothing(serving, number):
    server = serving()
    state = server.wait_ready()
    family = server.family()
    assert len(family) >= 4  # tritonserver and its Python stubs
    assert regions(state["pid"])

    server.process.send_signal(number)
    code, out, err = server.finish()

    assert code == 0
    assert err == ""
    assert state["grpc"] in out
    assert "verify_faces" in out
    assert "UNTRAINED" in out
    assert "stopping" in out
    assert_gone(family)
    assert not regions(state["pid"])
    assert not server.ready_file.exists()


def test_a_request_in_flight_is_finished_before_it_stops(serving):
    server = serving()
    address = server.wait_ready()["grpc"]
    results = []

    with Client(address) as client:
        client.verify(PHOTO, PHOTO)
        calls = [
            threading.Thread(target=lambda: results.append(client.verify(PHOTO, PHOTO)))
            for _ in range(4)
        ]
        for call in calls:
            call.start()
        time.sleep(0.1)
        server.process.terminate()
        for call in calls:
            call.join()

    assert server.finish()[0] == 0
    assert [result.is_match for result in results] == [True] * 4


def test_killed_outright_it_takes_triton_with_it(serving):
    server = serving()
    server.wait_ready()
    family = server.family()

    server.process.kill()

    assert_gone(family)


def test_what_a_killed_one_left_is_removed_by_the_next(serving):
    first = serving()
    pid = first.wait_ready()["pid"]
    family = first.family()
    for process in [psutil.Process(first.process.pid), *family]:
        process.kill()
    first.process.wait()
    assert_gone(family)
    assert regions(pid)
    first.ready_file.unlink()

    second = serving()
    second.wait_ready()

    assert not regions(pid)


def test_a_signal_while_it_starts_leaves_nothing(serving):
    server = serving()
    while not any(is_triton(process) for process in server.family()):
        time.sleep(0.02)
        assert server.process.poll() is None
    family = server.family()

    server.process.send_signal(signal.SIGINT)

    assert server.finish()[0] == 0
    assert_gone(family)


def test_it_says_so_when_triton_dies(serving):
    server = serving()
    pid = server.wait_ready()["pid"]
    (triton,) = [process for process in server.family() if is_triton(process)]

    triton.kill()
    code, _, err = server.finish()

    assert code == 1
    assert "Triton died with exit code -9" in err
    assert not regions(pid)


def test_a_busy_port_is_told_at_once(serving):
    first = serving()
    port = first.wait_ready()["grpc"].rsplit(":", 1)[1]

    code, _, err = serving("--grpc-port", port).finish()

    assert code == 2
    assert f"127.0.0.1:{port}" in err
    assert "Traceback" not in err


def test_another_precision_is_served_on_demand(serving, client):
    server = serving("--variant", "fp16")
    address = server.wait_ready()["grpc"]

    with Client(address) as half:
        vector = half.embed(PHOTO).vector

    exact = client.embed(PHOTO).vector
    assert exact @ vector > 0.999
    assert (exact != vector).any()
    server.process.terminate()
    assert "fp16" in server.finish()[1]


def test_a_tampered_repository_is_not_served(serving, repository, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    graph = copy / "face_recognizer" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")

    code, _, err = serving(path=copy).finish()

    assert code == 2
    assert "changed after the build and is not served" in err


def test_a_broken_model_is_reported_by_its_own_words(serving, repository, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    config = copy / "face_cropper" / "config.pbtxt"
    config.write_text(config.read_text().replace('"cascade"', '"divination"'))
    seal(copy / "face_cropper", kind="python")

    code, _, err = serving(path=copy).finish()

    assert code == 2
    assert "it must be 'cascade' or 'face_detector'" in err


def test_a_native_tritonserver_is_used_where_there_is_one(serving, tmp_path):
    """The wheel's binary laid out as in NVIDIA's image, found on PATH or by its path."""
    from mien_server.serve.installation import embedded_installation

    embedded = embedded_installation(tmp_path / "runtime")
    opt = tmp_path / "opt" / "tritonserver"
    (opt / "bin").mkdir(parents=True)
    shutil.copy(embedded.binary, opt / "bin")
    shutil.copytree(embedded.backend_directory, opt / "backends")
    library_path = embedded.environment["LD_LIBRARY_PATH"]
    binary = opt / "bin" / "tritonserver"
    os.environ["LD_LIBRARY_PATH"] = library_path
    try:
        server = serving("--tritonserver", str(binary))
        state = server.wait_ready()
    finally:
        del os.environ["LD_LIBRARY_PATH"]

    with Client(state["grpc"]) as client:
        assert client.verify(PHOTO, PHOTO).is_match
    server.process.terminate()
    assert "(native)" in server.finish()[1]
