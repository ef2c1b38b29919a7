# SPDX-License-Identifier: Apache-2.0
"""Avatars over gRPC against the same work in one process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from rich.console import Console

from bench.avatars.in_process import AvatarLoop, texts
from bench.avatars.serving import built_repository, infer
from bench.load import Load, median_load, paired_loads, served_load
from bench.photographs import portraits
from bench.serving import server_options
from mien import AsyncClient, Avatar, Client
from mien_server.serve import Server
from mien_server.threads import available_cores

__all__ = ["CHANGES", "IN_FLIGHT", "AvatarBench", "Stage", "run_avatar_bench"]

IN_FLIGHT = (1, 4)
# What is done with an avatar, and what it is called in tables.
CREATE = "create_avatar"
FILE = frozenset({"file"})  # of the outputs of a change
CHANGES = {
    "file": "apply_emotion, a file",
    "morph": "apply_emotion, the movement alone",
    "hair": "try_hairstyle",
}
HAIRSTYLE, OTHER_HAIRSTYLE = "bob", "afro"
EMOTIONS = (0.8, 0.0, 0.0, 0.0, 0.0, 0.3)

Array = NDArray[Any]
Calls = dict[str, tuple[Callable[[], object], Callable[[], object]]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A model that an avatar calls.

    Attributes:
        calls: per avatar, in the loop.
        loop_ms: per avatar, with what it calls in turn.
        served_ms: likewise on the server, with waiting and the way there.
        waited_ms: of that in Triton's queue.
    """

    calls: float
    loop_ms: float
    served_ms: float
    waited_ms: float


@dataclass(frozen=True, slots=True)
class AvatarBench:
    """Medians over the rounds.

    Attributes:
        threads: the budget of every stage and of the loop.
        loops: by what is done, in one process.
        served: the same over gRPC, one in flight.
        crowded: avatars in flight -> create_avatar over gRPC.
        stages: by model, of create_avatar with one in flight.
        agree: whether both ways gave the same file.
    """

    threads: int
    loops: Mapping[str, Load]
    served: Mapping[str, Load]
    crowded: Mapping[int, Load]
    stages: Mapping[str, Stage]
    agree: bool


def run_avatar_bench(
    repository: Path | None, *, rounds: int, seconds: float, console: Console
) -> AvatarBench:
    """Measure; loop and server take turns call by call, so that the machine's mood hits both.

    Args:
        repository: to serve; None builds one with the weights that ship.
        rounds: 1 or more.
        seconds: per figure and round.
        console: where to say how far it is.
    """
    path, threads = built_repository(repository, console), available_cores()
    photograph, _ = portraits()
    runs: dict[object, list[Load]] = defaultdict(list)
    loop = AvatarLoop(path, threads)
    with Server(server_options(path)) as server, Client(server.grpc_address) as client:
        graphs = triton.InferenceServerClient(server.grpc_address)
        own = loop.create(photograph, hairstyle=texts(HAIRSTYLE.encode()))
        avatar = client.avatar(photograph, hairstyle=HAIRSTYLE)
        calls = _calls(loop, own, client, graphs, avatar, photograph)
        watch = _Watch(loop, graphs)
        for number in range(1, rounds + 1):
            for what, pair in calls.items():
                watch.is_on = what == CREATE
                one, other = watch.over(partial(_in_turns, *pair, 2 * seconds))
                runs["loop", what].append(one)
                runs["served", what].append(other)
            for in_flight in IN_FLIGHT[1:]:
                load = asyncio.run(_many(server.grpc_address, photograph, in_flight, seconds))
                runs["crowded", in_flight].append(load)
            for key, loads in runs.items():
                console.print(f"round {number}: {key}: {_shown(loads[-1])}")
        graphs.close()
    loop.close()
    medians = {key: median_load(loads) for key, loads in runs.items()}
    return AvatarBench(
        threads=threads,
        loops={what: medians["loop", what] for what in calls},
        served={what: medians["served", what] for what in calls},
        crowded={n: medians["crowded", n] for n in IN_FLIGHT[1:]},
        stages=watch.stages(),
        agree=bytes(own["file"][0]) == avatar.file,
    )


def _calls(
    loop: AvatarLoop,
    own: Mapping[str, Array],
    client: Client,
    graphs: triton.InferenceServerClient,
    avatar: Avatar,
    photograph: bytes,
) -> Calls:
    """By what is done, how it is done in this process and by the server."""
    emotions = np.array(EMOTIONS, np.float32)
    sent = {"avatar_code": own["avatar_code"], "texture": own["texture"]}
    happy = {**sent, "emotions": emotions}
    morph = {**happy, "output": texts(b"morph")}
    hair = {**sent, "hairstyle": texts(OTHER_HAIRSTYLE.encode())}
    served_morph = {
        "avatar_code": texts(avatar.avatar_code.encode()),
        "emotions": emotions,
        "output": texts(b"morph"),
    }
    style = {"hairstyle": texts(HAIRSTYLE.encode())}
    return {
        CREATE: (
            lambda: loop.create(photograph, **style),
            lambda: client.avatar(photograph, hairstyle=HAIRSTYLE),
        ),
        "file": (
            lambda: loop.changer.with_emotions(happy, FILE),
            lambda: avatar.with_emotion(EMOTIONS),
        ),
        "morph": (
            lambda: loop.changer.with_emotions(morph, frozenset()),
            lambda: infer(graphs, "apply_emotion", served_morph, "expression", "avatar_code"),
        ),
        "hair": (
            lambda: loop.changer.with_hairstyle(hair, FILE),
            lambda: avatar.with_hairstyle(OTHER_HAIRSTYLE),
        ),
    }


def _in_turns(
    loop: Callable[[], object], call: Callable[[], object], seconds: float
) -> tuple[Load, Load]:
    """In a thread such as an application server's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(paired_loads, loop, call, seconds).result()


async def _many(address: str, photograph: bytes, in_flight: int, seconds: float) -> Load:
    async with AsyncClient(address) as client:
        return await served_load(
            lambda: client.avatar(photograph, hairstyle=HAIRSTYLE), in_flight, seconds
        )


def _shown(load: Load) -> str:
    return f"{load.per_s:.2f}/s, p50 {load.p50_ms:.0f} ms, p95 {load.p95_ms:.0f} ms"


class _Watch:
    """Where time goes: the loop's own clock, and Triton's statistics.

    Attributes:
        is_on: whether what comes next is counted.
    """

    def __init__(self, loop: AvatarLoop, graphs: triton.InferenceServerClient) -> None:
        self.is_on = False
        self._models, self._graphs = loop.models, graphs
        self._avatars, self._served_avatars = 0, 0
        self._sums: dict[tuple[str, str], float] = defaultdict(float)

    def over(self, run: Callable[[], tuple[Load, Load]]) -> tuple[Load, Load]:
        """Run, and count what it called."""
        if not self.is_on:
            return run()
        self._models.seconds.clear()
        self._models.calls.clear()
        before = self._statistics()
        loads = run()
        # One of each goes before the clock starts.
        self._avatars += loads[0].count + 1
        self._served_avatars += loads[1].count + 1
        for name, spent in self._models.seconds.items():
            self._sums[name, "loop"] += spent * 1e3
            self._sums[name, "calls"] += self._models.calls[name]
        for key, ms in self._statistics().items():
            self._sums[key] += ms - before.get(key, 0.0)
        return loads

    def stages(self) -> dict[str, Stage]:
        """By model; those that take longest in the loop come first."""
        names = sorted(
            {name for name, kind in self._sums if kind == "loop"},
            key=lambda name: -self._sums[name, "loop"],
        )
        return {
            name: Stage(
                calls=self._sums[name, "calls"] / self._avatars,
                loop_ms=self._sums[name, "loop"] / self._avatars,
                served_ms=self._sums[name, "served"] / self._served_avatars,
                waited_ms=self._sums[name, "waited"] / self._served_avatars,
            )
            for name in names
        }

    def _statistics(self) -> dict[tuple[str, str], float]:
        """Milliseconds since the server started, by model."""
        found: dict[tuple[str, str], float] = {}
        for model in self._graphs.get_inference_statistics().model_stats:
            stats = model.inference_stats
            parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
            found[model.name, "served"] = sum(part.ns for part in parts) / 1e6
            found[model.name, "waited"] = stats.queue.ns / 1e6
        return found
