# SPDX-License-Identifier: Apache-2.0
"""One tritonserver process with its children, from start to the last of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mien_server.serve.logs import LogReader

__all__ = [
    "TritonProcess",
    "is_alive",
    "new_shared_memory_prefix",
    "remove_shared_memory",
    "remove_stale_shared_memory",
]

_PR_SET_PDEATHSIG = 1
_SHARED_MEMORY = Path("/dev/shm")
# Nothing is in flight any more, but the Python stubs need a moment to go.
KILL_AFTER_S = 15.0


class TritonProcess:
    """A running tritonserver.

    It lives in a process group of its own, so that Ctrl-C in a terminal reaches us alone and
    requests can be drained; and it is told to stop by the kernel if the thread that started it
    dies, so that nothing is left behind even by SIGKILL.

    Args:
        command: with arguments.
        environment: whole.
        working_directory: the stubs put it on `sys.path`, so it holds no Python file.
        verbose: show the whole log.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: dict[str, str],
        working_directory: Path,
        verbose: bool,
    ) -> None:
        libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork
        parent = os.getpid()

        def die_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died between fork and prctl
                os.kill(os.getpid(), signal.SIGKILL)

        self._popen = subprocess.Popen(
            command,
            env=environment,
            cwd=working_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        assert self._popen.stdout is not None
        self.log = LogReader(self._popen.stdout, verbose=verbose)  # type: ignore[arg-type]  # IO[bytes] is a BinaryIO here

    @property
    def pid(self) -> int:
        """Of tritonserver itself."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return self._popen.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._popen.wait(timeout_s)

    def stop(self) -> int:
        """Ask it to go, then make sure that it and its children are gone; its exit code."""
        if self.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            code = self.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            self.kill()
        return code

    def kill(self) -> None:
        """End the whole process group at once."""
        with contextlib.suppress(ProcessLookupError):  # all of it has gone by itself
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self.log.join(timeout_s=2.0)


def new_shared_memory_prefix() -> str:
    """Prefix of the shared-memory regions of one server started by this process."""
    return f"mien_{os.getpid()}_{secrets.token_hex(4)}_"


def remove_shared_memory(prefix: str) -> None:
    """Remove what a server that is gone has left; one that was killed cannot do it itself."""
    for region in _SHARED_MEMORY.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # somebody else's, or just removed
            region.unlink()


def remove_stale_shared_memory() -> None:
    """Remove regions of servers whose starter is gone, too."""
    prefixes = {"_".join(region.name.split("_")[:2]) for region in _SHARED_MEMORY.glob("mien_*")}
    for prefix in prefixes:
        pid = prefix.partition("_")[2]
        if pid.isdecimal() and not is_alive(int(pid)):
            remove_shared_memory(f"{prefix}_")


def is_alive(pid: int) -> bool:
    """Whether there is such a process, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
