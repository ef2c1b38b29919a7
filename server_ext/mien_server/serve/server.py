# SPDX-License-Identifier: Apache-2.0
"""A Triton server on a built repository, as a context manager."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mien_server.hair.own_styles import HAIRSTYLES_VARIABLE
from mien_server.sealing import IDENTITY_KEY_VARIABLE, new_key
from mien_server.serve.control import Control
from mien_server.serve.errors import ServeError
from mien_server.serve.installation import Installation, find_installation
from mien_server.serve.logs import error_lines
from mien_server.serve.preflight import check_installation, check_platform, check_port, free_ports
from mien_server.serve.process import (
    TritonProcess,
    is_alive,
    new_shared_memory_prefix,
    remove_shared_memory,
    remove_stale_shared_memory,
)
from mien_server.serve.repository import ServedModel, link_repository, read_repository
from mien_server.threads import THREADS_VARIABLE, available_cores

__all__ = ["Server", "ServerOptions"]

_RUNTIME_PREFIX = "mien-serve-"
_POLL_S = 0.1
_START_ATTEMPTS = 3  # a free port may be taken between looking and binding
# Between the end of the drain and the end of the process: nothing is left to wait for.
_EXIT_S = 5


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve.

    Attributes:
        repository: built by mien-export.
        host: address to bind; anything but loopback is reachable by others.
        grpc_port: 0 takes a free one.
        metrics_port: 0 takes a free one.
        http_port: None leaves Triton's HTTP endpoint off; 0 takes a free port.
        variant: precision to serve where a model has it ("fp16", "int8", …); None is fp32.
        threads: cores one stage may use; None is all this process may run on.
        tritonserver: "auto", "embedded", "native" or a path.
        start_timeout_s: how long models may take to load.
        drain_s: how long requests in flight may take once it is told to stop.
        verbose: show Triton's whole log.
        hairstyles: folder that users may add hairstyles to; None is that of the environment, else
            none.
    """

    repository: Path
    host: str = "127.0.0.1"
    grpc_port: int = 8001
    metrics_port: int = 8002
    http_port: int | None = None
    variant: str | None = None
    threads: int | None = None
    tritonserver: str = "auto"
    start_timeout_s: float = 300.0
    drain_s: float = 30.0
    verbose: bool = False
    hairstyles: Path | None = None


class Server:
    """Starts on entering, serves until leaving.

    Must be entered in a thread that outlives it (`TritonProcess`).

    Args:
        options: how to serve.

    Attributes:
        models: of the repository, known before anything is loaded.
        installation: the tritonserver that runs.
        version: of Triton, once started.
        start_s: seconds from start to ready.
        grpc_port: the one in use.
        metrics_port: the one in use.
        http_port: the one in use, None when off.
    """

    models: list[ServedModel]
    installation: Installation
    version: str
    start_s: float
    grpc_port: int
    metrics_port: int
    http_port: int | None

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._cleanup = contextlib.ExitStack()
        self._process: TritonProcess | None = None
        self._control_key = Control.new_key()
        self._shared_memory = new_shared_memory_prefix()

    @property
    def grpc_address(self) -> str:
        """`host:port` for clients."""
        host = self.options.host
        return f"[{host}]:{self.grpc_port}" if ":" in host else f"{host}:{self.grpc_port}"

    @property
    def process(self) -> TritonProcess:
        """The running tritonserver.

        Raises:
            RuntimeError: it was not started.
        """
        if self._process is None:
            raise RuntimeError("the server is not running; enter it first")
        return self._process

    def __enter__(self) -> Server:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """Let requests in flight finish, stop, remove what was made; tritonserver's exit code."""
        try:
            if self._process is None:
                return 0
            if self._process.poll() is None:
                with Control(self.grpc_address, self._control_key) as control:
                    control.drain(self.models, self.options.drain_s)
            return self._process.stop()
        finally:
            self._cleanup.close()

    def _start(self) -> None:
        check_platform()
        self.models = read_repository(self.options.repository)
        self._check_variant()
        self._check_ports()
        remove_stale_shared_memory()
        runtime = self._runtime_directory()
        self.installation = find_installation(self.options.tritonserver, runtime)
        check_installation(self.installation)
        self._linked = runtime / "repository"
        link_repository(self.options.repository, self._linked)
        for attempt in range(1, _START_ATTEMPTS + 1):
            started = time.monotonic()
            self._choose_ports()
            self._launch(runtime)
            if self._wait_until_ready(may_retry=attempt < _START_ATTEMPTS):
                self.start_s = time.monotonic() - started
                return

    def _check_variant(self) -> None:
        variant = self.options.variant
        offered = sorted({p for model in self.models for p in model.precisions})
        if variant is not None and variant not in offered:
            raise ServeError(
                f"no model of {self.options.repository} has the variant {variant!r}; it has "
                f"{', '.join(offered)}. Build it: mien-export build --precision fp32,{variant}"
            )

    def _check_ports(self) -> None:
        host = self.options.host
        for port, what in (
            (self.options.grpc_port, "gRPC"),
            (self.options.metrics_port, "metrics"),
            (self.options.http_port, "HTTP"),
        ):
            if port:
                check_port(host, port, what)

    def _choose_ports(self) -> None:
        options = self.options
        grpc_port, metrics_port, http_port = free_ports(options.host, 3)
        self.grpc_port = options.grpc_port or grpc_port
        self.metrics_port = options.metrics_port or metrics_port
        self.http_port = http_port if options.http_port == 0 else options.http_port

    def _runtime_directory(self) -> Path:
        """A directory that goes with this server; those of dead ones go now."""
        for stale in Path(tempfile.gettempdir()).glob(f"{_RUNTIME_PREFIX}*"):
            pid = stale.name.removeprefix(_RUNTIME_PREFIX).split("-")[0]
            if pid.isdecimal() and not is_alive(int(pid)):
                shutil.rmtree(stale, ignore_errors=True)
        runtime = Path(tempfile.mkdtemp(prefix=f"{_RUNTIME_PREFIX}{os.getpid()}-"))
        self._cleanup.callback(shutil.rmtree, runtime, ignore_errors=True)
        return runtime

    def _launch(self, runtime: Path) -> None:
        threads = self.options.threads or available_cores()
        hairstyles = self.options.hairstyles
        folder = {HAIRSTYLES_VARIABLE: str(hairstyles.absolute())} if hairstyles else {}
        self._process = TritonProcess(
            [str(self.installation.binary), *self._arguments()],
            environment={
                IDENTITY_KEY_VARIABLE: new_key(),  # unless the environment has one
                **self.installation.environment,
                THREADS_VARIABLE: str(threads),
                **folder,
            },
            working_directory=runtime,
            verbose=self.options.verbose,
        )
        self._cleanup.callback(remove_shared_memory, self._shared_memory)
        self._cleanup.callback(self._process.kill)  # first: callbacks run in reverse

    def _arguments(self) -> list[str]:
        options, host = self.options, self.options.host
        arguments = [
            *Control.arguments(self._control_key, http=self.http_port is not None),
            f"--model-repository={self._linked}",
            f"--backend-directory={self.installation.backend_directory}",
            "--disable-auto-complete-config",
            f"--grpc-address={host}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-address={host}",
            f"--metrics-port={self.metrics_port}",
            f"--exit-timeout-secs={_EXIT_S}",
            f"--backend-config=python,shm-region-prefix-name={self._shared_memory}",
        ]
        if self.http_port is None:
            arguments.append("--allow-http=false")
        else:
            arguments += [f"--http-address={host}", f"--http-port={self.http_port}"]
        if options.variant:
            arguments.append(f"--model-config-name={options.variant}")
        if options.verbose:
            arguments.append("--log-verbose=1")
        return arguments

    def _wait_until_ready(self, *, may_retry: bool) -> bool:
        """Whether it is ready; False where a port was taken meanwhile and others may be tried.

        Raises:
            ServeError: Triton stopped, or was not ready in time.
        """
        deadline = time.monotonic() + self.options.start_timeout_s
        with Control(self.grpc_address, self._control_key) as control:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    self.process.kill()
                    lines = list(self.process.log.lines)
                    if may_retry and any("already in use" in line for line in lines):
                        return False
                    raise ServeError(_why_it_stopped(self.process.wait(), lines))
                version = control.triton_version()
                if version:
                    self.version = version
                    self.process.log.muted = False
                    return True
                time.sleep(_POLL_S)
        raise ServeError(
            f"the models were not loaded within {self.options.start_timeout_s:g} s; start again "
            "with -v to see where it stands, or allow more with --start-timeout"
        )


def _why_it_stopped(code: int, lines: list[str]) -> str:
    errors = error_lines(lines) or [line for line in lines if line.strip()][-5:]
    report = "\n  ".join(dict.fromkeys(errors))
    return f"Triton stopped while starting, exit code {code}:\n  {report}"
