# SPDX-License-Identifier: Apache-2.0
"""Closed-loop load: N callers, each sending its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Load", "loop_load", "median_load", "paired_loads", "served_load"]


@dataclass(frozen=True, slots=True)
class Load:
    """What one run gave.

    Attributes:
        per_s: requests finished per second.
        p50_ms: median latency.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        count: requests.
    """

    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int


def _load(latencies_s: list[float], elapsed_s: float) -> Load:
    p50_ms, p95_ms, p99_ms = (float(ms) for ms in np.percentile(latencies_s, [50, 95, 99]) * 1e3)
    return Load(len(latencies_s) / elapsed_s, p50_ms, p95_ms, p99_ms, len(latencies_s))


def loop_load(call: Callable[[], object], seconds: float) -> Load:
    """A plain loop in this process."""
    call()
    latencies: list[float] = []
    start = now = time.perf_counter()
    while now - start < seconds:
        call()
        latencies.append(time.perf_counter() - now)
        now = time.perf_counter()
    return _load(latencies, now - start)


def paired_loads(
    first: Callable[[], object], second: Callable[[], object], seconds: float
) -> tuple[Load, Load]:
    """Two calls in turns, so that whatever the machine does in the meantime hits both alike."""
    latencies: tuple[list[float], list[float]] = ([], [])
    first(), second()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for call, list_ in zip((first, second), latencies, strict=True):
            begun = time.perf_counter()
            call()
            list_.append(time.perf_counter() - begun)
    one, other = (_load(list_, sum(list_)) for list_ in latencies)
    return one, other


async def served_load(
    call: Callable[[], Awaitable[object]], in_flight: int, seconds: float
) -> Load:
    """`in_flight` callers at once."""
    latencies: list[float] = []
    await asyncio.gather(*(call() for _ in range(in_flight)))
    start = time.perf_counter()

    async def caller() -> None:
        while (begun := time.perf_counter()) - start < seconds:
            await call()
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return _load(latencies, time.perf_counter() - start)


def median_load(loads: list[Load]) -> Load:
    """Each figure's median over the rounds; the counts add up."""
    return Load(
        per_s=float(np.median([load.per_s for load in loads])),
        p50_ms=float(np.median([load.p50_ms for load in loads])),
        p95_ms=float(np.median([load.p95_ms for load in loads])),
        p99_ms=float(np.median([load.p99_ms for load in loads])),
        count=sum(load.count for load in loads),
    )
