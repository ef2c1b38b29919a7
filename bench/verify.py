# SPDX-License-Identifier: Apache-2.0
"""Embeddings and verifications over gRPC against the same work in one process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton_aio
from rich.console import Console

from bench.in_process import bare_graph, embed_in_process
from bench.load import Load, loop_load, median_load, paired_loads, served_load
from bench.photographs import portraits
from bench.serving import BUILD, build_repository, server_options
from bench.small_repository import build_small_repository
from mien import AsyncClient, Client
from mien_server.serve import Server
from mien_server.threads import available_cores

__all__ = ["IN_FLIGHT", "VerifyBench", "run_verify_bench"]

IN_FLIGHT = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class VerifyBench:
    """Medians over the rounds.

    Attributes:
        network: of the recogniser.
        threads: the budget of every stage and loop.
        bare: batch size -> the graph alone; per_s counts runs, not faces.
        loops: "embed" and "verify" in one process.
        served: (kind, in flight) -> over gRPC.
        merged: 16 in flight on the small graph, verify_faces.
        naive: the same load on its naive form.
    """

    network: str
    threads: int
    bare: dict[int, Load]
    loops: dict[str, Load]
    served: dict[tuple[str, int], Load]
    merged: Load
    naive: Load


def run_verify_bench(network: str, *, rounds: int, seconds: float, console: Console) -> VerifyBench:
    """Measure; loops and server take turns, so that a change of the machine's mood hits both."""
    threads = available_cores()
    console.print(f"building {network} with random weights")
    repository = build_repository(network)
    runs: dict[object, list[Load]] = defaultdict(list)
    with Server(server_options(repository)) as server:
        for number in range(1, rounds + 1):
            for key, load in _round(server, repository, threads, seconds):
                runs[key].append(load)
                _show(console, number, str(key), load)
    medians = {key: median_load(loads) for key, loads in runs.items()}
    small = _small_graph(rounds, seconds, console)
    return VerifyBench(
        network=network,
        threads=threads,
        bare={batch: medians["bare", batch] for batch in (1, 8)},
        loops={kind: medians["loop", kind] for kind in ("embed", "verify")},
        served={(kind, n): medians[kind, n] for kind in ("embed", "verify") for n in IN_FLIGHT},
        merged=small["verify_faces"],
        naive=small["verify_faces_naive"],
    )


def _round(
    server: Server, repository: Path, threads: int, seconds: float
) -> Iterator[tuple[tuple[str, object], Load]]:
    probe, reference = portraits()
    embed = embed_in_process(repository, threads)
    for batch in (1, 8):
        yield ("bare", batch), loop_load(bare_graph(repository, threads, batch), seconds)
    works: dict[str, tuple[Callable[[], object], Callable[[Any], Any]]] = {
        "embed": (lambda: embed(probe), lambda client: client.embed(probe)),
        "verify": (
            lambda: [embed(image) for image in (probe, reference)],
            lambda client: client.verify(probe, reference),
        ),
    }
    for kind, (loop, call) in works.items():
        alone, served = _one_in_flight(server, loop, call, 2 * seconds)
        yield ("loop", kind), alone
        yield (kind, 1), served
        for in_flight in IN_FLIGHT[1:]:
            yield (kind, in_flight), asyncio.run(_many(server, call, in_flight, seconds))


def _one_in_flight(
    server: Server, loop: Callable[[], object], call: Callable[[Client], object], seconds: float
) -> tuple[Load, Load]:
    """The loop and a caller in turns, in a thread such as an application server's."""
    with Client(server.grpc_address) as client, ThreadPoolExecutor(1) as thread:
        return thread.submit(paired_loads, loop, lambda: call(client), seconds).result()


async def _many(
    server: Server, call: Callable[[AsyncClient], Awaitable[object]], in_flight: int, seconds: float
) -> Load:
    async with AsyncClient(server.grpc_address) as client:
        return await served_load(lambda: call(client), in_flight, seconds)


def _small_graph(rounds: int, seconds: float, console: Console) -> dict[str, Load]:
    """Both forms of the pipeline, called alike: tritonclient, 16 in flight, short byte strings."""
    runs: dict[str, list[Load]] = defaultdict(list)
    repository = build_small_repository(BUILD / "small")
    with Server(server_options(repository)) as server:
        for number in range(1, rounds + 1):
            for model in ("verify_faces", "verify_faces_naive"):
                load = asyncio.run(_pairs(server.grpc_address, model, seconds))
                runs[model].append(load)
                console.print(
                    f"round {number}  {model:24} {load.per_s:8.1f}/s  p50 {load.p50_ms:.1f} ms"
                )
    return {model: median_load(loads) for model, loads in runs.items()}


async def _pairs(address: str, model: str, seconds: float) -> Load:
    inputs = []
    for name, content in (("probe_image", b"a photograph"), ("reference_image", b"another one")):
        tensor = triton_aio.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(_one(content))
        inputs.append(tensor)
    wanted = [triton_aio.InferRequestedOutput("similarity")]
    async with triton_aio.InferenceServerClient(address) as client:
        return await served_load(
            lambda: client.infer(model, inputs, outputs=wanted), max(IN_FLIGHT), seconds
        )


def _show(console: Console, number: int, what: str, load: Load) -> None:
    console.print(f"round {number}  {what:24} {load.per_s:8.1f}/s  p50 {load.p50_ms:.1f} ms")


def _one(content: bytes) -> np.ndarray:
    return np.array([[content]], dtype=np.object_)
