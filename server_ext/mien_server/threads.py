# SPDX-License-Identifier: Apache-2.0
"""The thread budget of one server, handed from `mien-serve` to the backend processes.

`MIEN_THREADS` is the number of cores one stage may use. Stages of different models take turns on
the same cores, so each gets the whole budget, and none may spin while it waits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["THREADS_VARIABLE", "available_cores", "thread_budget"]

THREADS_VARIABLE = "MIEN_THREADS"


def available_cores() -> int:
    """Cores this process may run on; a container's CPU set counts, the machine's size does not."""
    return len(os.sched_getaffinity(0))


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
