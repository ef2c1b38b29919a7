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


def embedded(repository: Path, hairstyles: Path | None = None) -> Server:
    """The real embedded Triton on a repository, and on a folder that hairstyles are added to."""
    options = ServerOptions(
        repository, grpc_port=0, metrics_port=0, tritonserver="embedded", hairstyles=hairstyles
    )
    return Server(options)


# Files that share what is slow to make, or look for what a demo in this clone has left: one process
# runs each group. Everything else is handed out file by file.
TOGETHER = (
    ("test_avatar_figures.py", "test_avatar_files.py", "test_client_avatar.py",
     "test_create_avatar.py", "test_demo.py", "test_mien_serve.py", "test_own_hair.py",
     "test_pipelines.py", "test_readme.py", "test_starter_weights.py", "test_wire.py"),
    ("test_face_networks.py", "test_generate_faces.py", "test_generate_stop.py",
     "test_synthesize.py"),
)  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Hand out files, or groups of them, instead of single tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::")[0]
            for group in TOGETHER:
                if path.startswith("tests/e2e/") and path.endswith(group):
                    return group[0]
            return path

    return Scheduler(config, log)


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
def starter_server(starter_repository: Path, tmp_path_factory: pytest.TempPathFactory):
    """On the starter weights; hairstyles may be added."""
    with embedded(starter_repository, tmp_path_factory.mktemp("hairstyles")) as running:
        yield running


@pytest.fixture
def client(server: Server):
    with Client(server.grpc_address) as connected:
        yield connected
