# SPDX-License-Identifier: Apache-2.0
"""Triton's log: what to show, and what went wrong when it stops."""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["LogReader", "error_lines"]

_RECORD = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ \d+ ")
# True on every machine without a GPU, and alarming to who does not know.
_NOISE = re.compile(
    r"CudaDriverHelper|NVML|DCGM|pinned memory|nvidia-smi|CUDA memory pool|cuda_runtime|"
    r"failed to load .*libcuda|CUDA_ERROR_NO_DEVICE|Polling|Cannot get CPU metrics",
    re.IGNORECASE,
)
KEPT_LINES = 400


class LogReader:
    """Follows a stream of Triton's log in a thread of its own.

    Args:
        stream: what Triton writes.
        verbose: show everything; else warnings and errors only.
        show: receives each line shown.

    Attributes:
        lines: the last ones, shown or not.
        muted: nothing is shown but what `verbose` asks for; set while the server starts, since a
            failed start is reported as a whole.
    """

    def __init__(
        self, stream: BinaryIO, *, verbose: bool, show: Callable[[str], None] | None = None
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._show = show or _to_stderr
        self._level = "I"
        self.muted = True
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._thread = threading.Thread(target=self._follow, name="triton-log", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until the stream has ended and every line has been seen."""
        self._thread.join(timeout_s)

    def _follow(self) -> None:
        with self._stream:
            for raw in self._stream:
                line = raw.decode("utf-8", "replace").rstrip()
                self.lines.append(line)
                if self._is_worth_showing(line):
                    self._show(line)

    def _is_worth_showing(self, line: str) -> bool:
        record = _RECORD.match(line)
        # A line without a header belongs to the record before it, tables and tracebacks included.
        self._level = record.group(1) if record else self._level
        if self._verbose or self.muted:
            return self._verbose
        return bool(line) and self._level in "WEF" and not _NOISE.search(line)


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def error_lines(lines: list[str]) -> list[str]:
    """Messages of the error records, without Triton's header, for a report."""
    return [
        _RECORD.sub("", line).split("] ", 1)[-1].strip()
        for line in lines
        if (record := _RECORD.match(line)) and record.group(1) in "EF" and not _NOISE.search(line)
    ]
