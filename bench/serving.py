# SPDX-License-Identifier: Apache-2.0
"""The repository and the server that a bench measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mien_server.serve import ServerOptions

__all__ = ["BUILD", "build_repository", "run_export", "server_options"]

BUILD = Path("build") / "bench"


def build_repository(network: str) -> Path:
    """All pipelines, with random weights in the recogniser."""
    path = BUILD / network
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(path)]
    command += ["--weights", "random", "--seed", "0", "--network", f"face_recognizer={network}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def run_export(*words: str) -> None:
    """Call mien-export.

    Raises:
        ValueError: it failed; says why.
    """
    command = [sys.executable, "-m", "mien_export", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"mien-export {words[0]} failed: {done.stderr or done.stdout}")


def server_options(repository: Path, variant: str | None = None) -> ServerOptions:
    """The embedded server on free ports."""
    return ServerOptions(
        repository, grpc_port=0, metrics_port=0, tritonserver="embedded", variant=variant
    )
