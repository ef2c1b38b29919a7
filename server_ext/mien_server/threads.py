# SPDX-License-Identifier: Apache-2.0
"""The thread budget of one server, handed from `mien-serve` to the backend processes.

`MIEN_THREADS` is the number of cores one stage may use. Stages of different models take turns on
the same cores, so each gets the whole budget, and none may spin while it waits.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["THREADS_VARIABLE", "available_cores", "thread_budget"]

THREADS_VARIABLE = "MIEN_THREADS"


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores this process may use: its CPU set, and the quota of its container if there is one.

    Args:
        cgroup: where the kernel shows the container's limits (version 2).
    """
    cores = len(os.sched_getaffinity(0))
    limit = cgroup / "cpu.max"
    if limit.is_file():
        quota, period = limit.read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def thread_budget(environment: Mapping[str, str] = os.environ) -> int:
    """Threads one stage may use.

    Raises:
        ValueError: MIEN_THREADS is set to something other than a positive integer.
    """
    value = environment.get(THREADS_VARIABLE)
    if value is None:
        return available_cores()
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(
            f"{THREADS_VARIABLE} is {value!r}; it must be a positive integer, such as "
            f"{available_cores()}"
        )
    return int(value)
