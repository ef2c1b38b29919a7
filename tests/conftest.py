# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import pytest

from mien import Client
from mien_server.serve import Server, ServerOptions

ROOT = Path(__file__).parents[1]


def built(name: str, *options: str) -> Path:
    """A whole repository, built once and kept between runs."""
    path = ROOT / "build" / name
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"mien-export build failed:\n{done.stdout}{done.stderr}")
    return path


def embedded(repository: Path) -> Server:
    """The real embedded Triton on a repository."""
    return Server(ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded"))


# Fixtures that are slow to make, and the process in which all files that use them are run.
SLOW_FIXTURES = {
    **dict.fromkeys(("repository", "server", "starter_repository", "starter_server"), "shared"),
    **dict.fromkeys(("random_repository", "random_server"), "random"),
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and files together that share what is slow."""
    groups = {
        item.path: SLOW_FIXTURES[name]
        for item in items
        for name in getattr(item, "fixturenames", ())
        if name in SLOW_FIXTURES
    }
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            group = groups.get(item.path, item.path.relative_to(ROOT).as_posix())
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def repository() -> Path:
    """With random weights of the smallest public network, and without optional graphs."""
    random = ("--weights", "random", "--seed", "0", "--network", "face_recognizer=iresnet18")
    return built("test-repository", *random, "--precision", "fp32,fp16")


@pytest.fixture(scope="session")
def server(repository: Path):
    """On random weights."""
    with embedded(repository) as running:
        yield running


@pytest.fixture(scope="session")
def starter_repository() -> Path:
    """With the weights that ship with mien."""
    return built("test-starter-repository", "--weights", "starter")


@pytest.fixture(scope="session")
def starter_server(starter_repository: Path):
    """On the starter weights."""
    with embedded(starter_repository) as running:
        yield running


@pytest.fixture
def client(server: Server):
    with Client(server.grpc_address) as connected:
        yield connected
