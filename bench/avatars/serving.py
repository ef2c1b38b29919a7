# SPDX-License-Identifier: Apache-2.0
"""The server whose avatars are measured, and requests that the client has no method for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from rich.console import Console

from bench.serving import BUILD, server_options
from mien_server.serve import Server

__all__ = ["built_repository", "infer", "served"]

Array = NDArray[Any]

_TYPES = {"f": "FP32", "O": "BYTES"}


def built_repository(given: Path | None, console: Console) -> Path:
    """The repository that was given, or one with the weights that ship.

    Raises:
        SystemExit: it cannot be built.
    """
    if given is not None:
        return given
    path = BUILD / "starter"
    console.print("building a repository with the starter weights")
    build = [sys.executable, "-m", "mien_export", "build", "--to", str(path)]
    done = subprocess.run(
        [*build, "--weights", "starter"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"mien-export build failed: {done.stderr or done.stdout}")
    return path


@contextlib.contextmanager
def served(address: str | None, repository: Path | None, console: Console) -> Iterator[str]:
    """The address of a server that runs, or of one that is started on a repository."""
    if address:
        yield address
        return
    with Server(server_options(built_repository(repository, console))) as server:
        yield server.grpc_address


def infer(
    client: triton.InferenceServerClient, model: str, inputs: Mapping[str, Array], *outputs: str
) -> dict[str, Array]:
    """One inference.

    Args:
        client: of the server's gRPC endpoint.
        model: its name.
        inputs: by name; float32, or bytes.
        outputs: that are wanted.

    Raises:
        tritonclient.utils.InferenceServerException: it was refused.
    """
    tensors = []
    for name, array in inputs.items():
        tensor = triton.InferInput(name, array.shape, _TYPES[array.dtype.kind])
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
        tensors.append(tensor)
    wanted = [triton.InferRequestedOutput(name) for name in outputs]
    answer = client.infer(model, tensors, outputs=wanted)
    return {name: answer.as_numpy(name) for name in outputs}
