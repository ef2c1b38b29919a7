# SPDX-License-Identifier: Apache-2.0
"""`mien-serve`: argument parsing and signals.

Exit codes: 0 stopped as asked, 1 Triton died, 2 it could not start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from mien_server import __version__
from mien_server.serve.banner import print_banner
from mien_server.serve.errors import ServeError
from mien_server.serve.server import Server, ServerOptions

__all__ = ["main"]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_S = 0.2


class _StopRequested(Exception):
    """A signal came that does not wait."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    parsed = _parser().parse_args(arguments)
    options = _options(parsed)
    try:
        with _stop_flag() as stop:
            return _serve(options, parsed.ready_file, stop)
    except _StopRequested:
        return 0
    except ServeError as error:
        print(f"mien-serve: {error}", file=sys.stderr)
        return 2


class _Stop(threading.Event):
    """Set by a signal. While starting, and when repeated, a signal breaks off what is going on."""

    starting = True

    def on_signal(self, *_: object) -> None:
        if self.starting or self.is_set():
            raise _StopRequested
        self.set()


@contextlib.contextmanager
def _stop_flag() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop.on_signal) for number in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(options: ServerOptions, ready_file: Path | None, stop: _Stop) -> int:
    console = Console(highlight=False)
    with console.status(f"loading {options.repository}"):
        server = Server(options).__enter__()
    stop.starting = False
    try:
        print_banner(server, console)
        if ready_file:
            _write_ready_file(ready_file, server)
        while not stop.wait(_POLL_S):
            if server.process.poll() is not None:
                raise _died(server)
        console.print("stopping: requests in flight are finished first")
    except ServeError as error:
        print(f"mien-serve: {error}", file=sys.stderr)
        return 1
    finally:
        code = server.stop()
        if ready_file:
            ready_file.unlink(missing_ok=True)
    return 0 if code == 0 else 1


def _died(server: Server) -> ServeError:
    code = server.process.wait()
    last = "\n  ".join(list(server.process.log.lines)[-10:])
    return ServeError(f"Triton died with exit code {code}. Its last words:\n  {last}")


def _write_ready_file(path: Path, server: Server) -> None:
    state = {
        "pid": os.getpid(),
        "grpc": server.grpc_address,
        "metrics": f"http://{server.options.host}:{server.metrics_port}/metrics",
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(state))
    temporary.replace(path)


def _options(parsed: argparse.Namespace) -> ServerOptions:
    return ServerOptions(
        repository=parsed.repository,
        host=parsed.host,
        grpc_port=parsed.grpc_port,
        metrics_port=parsed.metrics_port,
        http_port=parsed.http_port,
        variant=parsed.variant,
        threads=parsed.threads,
        tritonserver=parsed.tritonserver,
        start_timeout_s=parsed.start_timeout,
        drain_s=parsed.drain,
        verbose=parsed.verbose,
        hairstyles=parsed.hairstyles,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien-serve", description="Serve a repository built by mien-export with Triton."
    )
    add = parser.add_argument
    add("repository", type=Path, help="directory that mien-export build wrote")
    add("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    add("--grpc-port", type=int, default=8001, help="0: any free one (default: %(default)s)")
    add("--metrics-port", type=int, default=8002, help="0: any free one (default: %(default)s)")
    add("--http-port", type=int, help="also serve Triton's HTTP API here (default: off)")
    add("--variant", metavar="PRECISION", help="serve fp16, int8 or tensorrt graphs where built")
    add("--threads", type=_positive, help="cores one stage may use (default: all there are)")
    add("--tritonserver", default="auto", help="auto, embedded, native, or a path")
    add("--hairstyles", type=Path, metavar="DIR", help="where users may add hairstyles")
    add("--start-timeout", type=float, default=300, metavar="S", help="(default: %(default)s)")
    add("--drain", type=float, default=30, metavar="S", help="for requests in flight at the end")
    add("--ready-file", type=Path, metavar="FILE", help="JSON with the endpoints, once ready")
    add("-v", "--verbose", action="store_true", help="show Triton's whole log")
    add("--version", action="version", version=f"mien {__version__}")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value
