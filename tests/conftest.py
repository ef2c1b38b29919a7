# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import pytest

from mien import Client
from mien_server.serve import Server, ServerOptions

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """A whole repository with the smallest public network, built once and kept between runs."""
    path = ROOT / "build" / "test-repository"
    command = [
        *(sys.executable, "-m", "mien_export", "build", "--to", str(path)),
        *("--weights", "random", "--seed", "0", "--network", "face_recognizer=iresnet18"),
        *("--precision", "fp32,fp16"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"mien-export build failed:\n{done.stdout}{done.stderr}")
    return path


@pytest.fixture(scope="session")
def server(repository: Path):
    """The real embedded Triton on that repository."""
    options = ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as running:
        yield running


@pytest.fixture
def client(server: Server):
    with Client(server.grpc_address) as connected:
        yield connected
