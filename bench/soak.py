# SPDX-License-Identifier: Apache-2.0
"""Does anything grow? Resident memory of every server process under mixed traffic."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console

from bench.photographs import portraits_of_many_sizes
from bench.serving import build_repository, server_options
from mien import AsyncClient, MienError
from mien_server.serve import Server

__all__ = ["Soak", "run_soak"]

IN_FLIGHT = 8
SAMPLES = 10
INSTANCE_NAME = 8  # of a stub's arguments


@dataclass(frozen=True, slots=True)
class Soak:
    """What was seen.

    Attributes:
        requests: sent.
        refused: answered with an error, as meant.
        rss_mib: process -> MiB after each tenth of the requests.
    """

    requests: int
    refused: int
    rss_mib: dict[str, list[float]]

    def growth_mib_per_1000(self, name: str) -> float:
        """Over the second half, when every buffer has long had its largest size."""
        half = self.rss_mib[name][SAMPLES // 2 :]
        return (half[-1] - half[0]) / (self.requests * (len(half) - 1) / SAMPLES) * 1000


def run_soak(network: str, *, requests: int, console: Console) -> Soak:
    """Embeddings, verifications and refusals, photographs of many sizes, `IN_FLIGHT` at once."""
    rss_mib: dict[str, list[float]] = {}
    refused = 0
    with Server(server_options(build_repository(network))) as server:
        for number in range(SAMPLES):
            refused += asyncio.run(_traffic(server.grpc_address, requests // SAMPLES, seed=number))
            for name, mib in _resident(server).items():
                rss_mib.setdefault(name, []).append(mib)
            console.print(f"{(number + 1) * 100 // SAMPLES:3} %", _last(rss_mib))
    return Soak(requests, refused, rss_mib)


def _last(rss_mib: dict[str, list[float]]) -> str:
    return "  ".join(f"{name} {samples[-1]:.0f} MiB" for name, samples in rss_mib.items())


async def _traffic(address: str, requests: int, seed: int) -> int:
    """The number of requests refused."""
    photographs = portraits_of_many_sizes()
    generator = random.Random(seed)
    remaining = iter(range(requests))

    async def caller(client: AsyncClient) -> int:
        refused = 0
        for _ in remaining:
            probe, reference = generator.sample(photographs, 2)
            broken = probe[: generator.randrange(1, len(probe) // 2)]
            calls: list[Callable[[], Awaitable[object]]] = [
                partial(client.embed, probe),
                partial(client.verify, probe, reference),
                partial(client.embed, broken),
                partial(client.verify, reference, b"no image"),
            ]
            try:
                await generator.choice(calls)()
            except MienError:
                refused += 1
        return refused

    async with AsyncClient(address) as client:
        return sum(await asyncio.gather(*(caller(client) for _ in range(IN_FLIGHT))))


def _resident(server: Server) -> dict[str, float]:
    """Process -> MiB; Python stubs by the model they run."""
    triton = psutil.Process(server.process.pid)
    found = {"tritonserver": triton.memory_info().rss / 2**20}
    for child in triton.children(recursive=True):
        words = child.cmdline()
        if Path(words[0]).name == "triton_python_backend_stub":
            found[words[INSTANCE_NAME]] = child.memory_info().rss / 2**20
    return found
