# SPDX-License-Identifier: Apache-2.0
"""Build, serve, verify, show, stop. Whatever ends it, nothing is left running."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

from demo.photographs import write_people, write_photographs
from demo.picture import draw_fit, draw_verification, stack
from mien import Client

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "demo"
REPOSITORY = BUILD / "repository"
PICTURE = BUILD / "demo.png"
BIN = Path(sys.executable).parent
START_S = 120
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

console = Console(highlight=False)


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--force-build", action="store_true", help="build what is there already")
    force = parser.parse_args().force_build
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        console.print(Rule("0. take photographs"))
        photographs = write_photographs(BUILD / "photographs")
        photographs |= write_people(BUILD / "photographs")
        _build(["--force"] if force else [])
        with _served() as address:
            pictures = _verify(photographs, address)
            pictures.append(_fit(photographs["portrait"], address))
            console.print(Rule("5. stop"))
        stack(pictures, PICTURE)
    except KeyboardInterrupt:
        console.print("interrupted; the server is stopped")
        return 130
    except subprocess.CalledProcessError as error:
        console.print(f"[red]{Path(error.cmd[0]).name} failed with code {error.returncode}[/red]")
        return 1
    console.print(Rule("done"))
    console.print(f"The picture of it: {PICTURE.relative_to(ROOT)}")
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _build(options: list[str]) -> None:
    console.print(Rule("1. build a model repository"))
    command = ["mien-export", "build", "--to", str(REPOSITORY.relative_to(ROOT))]
    _run([*command, "--weights", "starter", *options])


@contextlib.contextmanager
def _served() -> Iterator[str]:
    """The address of a server that stops when the block is left, however it is left."""
    console.print(Rule("2. serve it with Triton"))
    with tempfile.TemporaryDirectory() as folder:
        ready_file = Path(folder) / "ready.json"
        command = ["mien-serve", str(REPOSITORY.relative_to(ROOT))]
        command += ["--grpc-port", "0", "--metrics-port", "0"]
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


def _verify(photographs: dict[str, Path], address: str) -> list[Path]:
    """Four answers on the terminal, three as pictures."""
    console.print(Rule("3. verify photographs over gRPC"))
    # Synthetic people that no weights were trained on, and a real one.
    pairs = {
        ("bea_1", "bea_2"): 0,
        ("bea_1", "carl"): 1,
        ("portrait", "turned_darker_recompressed"): 0,
        ("portrait", "bea_1"): 1,
        ("portrait", "coffee"): 2,
    }
    pictures = []
    for number, ((probe, reference), expected) in enumerate(pairs.items()):
        names = [str(photographs[name].relative_to(ROOT)) for name in (probe, reference)]
        _run(["mien", "--server", address, "verify", *names], allowed=(expected,))
        if expected < 2:
            with Client(address) as client:
                result = client.verify(photographs[probe], photographs[reference])
            picture = BUILD / f"verification_{number + 1}.png"
            draw_verification(photographs[probe], photographs[reference], result, picture)
            pictures.append(picture)
    return pictures


def _fit(photograph: Path, address: str) -> Path:
    console.print(Rule("4. fit a head"))
    _run(["mien", "--server", address, "fit", str(photograph.relative_to(ROOT))])
    with Client(address) as client:
        fit = client.fit(photograph, overlay=True)
    picture = BUILD / "fit.png"
    draw_fit(photograph, fit, picture)
    return picture


def _run(command: list[str], *, allowed: tuple[int, ...] = (0,)) -> None:
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


def _die_with_me() -> None:
    """Runs in a child: the kernel tells it to stop if the demo is killed outright."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _located(command: list[str]) -> list[str]:
    return [str(BIN / command[0]), *command[1:]]


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
