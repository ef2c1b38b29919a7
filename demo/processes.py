# SPDX-License-Identifier: Apache-2.0
"""Commands and the server as processes of the demo; none outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

__all__ = ["BUILD", "console", "run", "served", "shown"]

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "demo"
BIN = Path(sys.executable).parent
START_S = 120
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

console = Console(highlight=False)


def shown(path: Path) -> str:
    """A path as a person in this clone would type it."""
    return str(path.relative_to(ROOT))


def run(command: list[str], *, allowed: tuple[int, ...] = (0,)) -> None:
    """Show a command and run it.

    Raises:
        CalledProcessError: it ended with a code that is not allowed.
    """
    console.print(f"[bold]$ {' '.join(command)}[/bold]")
    process = subprocess.Popen(_located(command), cwd=ROOT, preexec_fn=_die_with_me)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()  # subprocess.run would kill it, and a builder must clean up
        process.wait()
        raise
    if code not in allowed:
        raise subprocess.CalledProcessError(code, command)
    if code:
        console.print(f"[dim](exit code {code})[/dim]")


@contextlib.contextmanager
def served(repository: Path) -> Iterator[str]:
    """The address of a server that stops when the block is left, however it is left."""
    with tempfile.TemporaryDirectory() as folder:
        ready_file = Path(folder) / "ready.json"
        command = ["mien-serve", shown(repository), "--grpc-port", "0", "--metrics-port", "0"]
        console.print(f"[bold]$ {' '.join(command)}[/bold]")
        command += ["--ready-file", str(ready_file)]
        # A session of its own: Ctrl-C reaches the demo alone, which then stops the server itself.
        server = subprocess.Popen(
            _located(command), cwd=ROOT, start_new_session=True, preexec_fn=_die_with_me
        )
        try:
            yield _address(server, ready_file)
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait()
        if code:
            raise subprocess.CalledProcessError(code, command)


def _address(server: subprocess.Popen[bytes], ready_file: Path) -> str:
    deadline = time.monotonic() + START_S
    while not ready_file.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise subprocess.CalledProcessError(server.poll() or 1, ["mien-serve"])
        time.sleep(0.05)
    return str(json.loads(ready_file.read_text())["grpc"])


def _die_with_me() -> None:
    """Runs in a child: the kernel tells it to stop if the demo is killed outright."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _located(command: list[str]) -> list[str]:
    return [str(BIN / command[0]), *command[1:]]
