# SPDX-License-Identifier: Apache-2.0
"""The renderer on one core against the same images in numpy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.numpy_renderer import NumpyRenderer
from mien_server.rendering import Topology, make_scene, rgba_images, style_maps

__all__ = ["BATCHES", "RenderBench", "run_render_bench"]

WEIGHTS = Path(__file__).parents[1] / "starter" / "weights"
BATCHES = (1, 8)
CAMERA = (6.8, 0.0, 0.0)  # the head fills the image
# In a process of its own: what a server pays before its first request.
FIRST_HEAD = """
import sys, time
from pathlib import Path
from mien_server.rendering import Topology
from mien_server.style_renderer_pipeline import HeadRenderer
topology = Topology.read(Path(sys.argv[1]))
start = time.perf_counter()
HeadRenderer(topology)
print(time.perf_counter() - start)
"""


@dataclass(frozen=True, slots=True)
class RenderBench:
    """Best times of the rounds.

    Attributes:
        triangles: of the head.
        vertices: of the head.
        rounds: how often each figure was taken.
        ours_ms: (what, batch) -> per head, from vertices to images.
        numpy_ms: what -> per head.
        agreement: what -> share of pixels whose values differ by less than 1/255.
        compile_s: start of a renderer with an empty cache.
        start_s: start of a renderer whose kernels were compiled before.
    """

    triangles: int
    vertices: int
    rounds: int
    ours_ms: dict[tuple[str, int], float]
    numpy_ms: dict[str, float]
    agreement: dict[str, float]
    compile_s: float
    start_s: float


def run_render_bench(*, rounds: int, console: Console) -> RenderBench:
    """Measure; ours and numpy take turns, on one core and no other."""
    topology, inputs = _heads(max(BATCHES))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        works = _works(topology, inputs)
        ours: dict[tuple[str, int], float] = {}
        numpy: dict[str, float] = {}
        agreement: dict[str, float] = {}
        for what, (draw, peer) in works.items():
            agreement[what] = _agreement(draw(1)[0], peer())
            calls = [*(partial(draw, count) for count in BATCHES), peer]
            *batches, numpy[what] = _best_ms(calls, rounds)
            ours |= {(what, n): ms / n for n, ms in zip(BATCHES, batches, strict=True)}
            console.print(what, *(f"{ms:.2f} ms" for ms in (*batches, numpy[what])))
        compile_s, start_s = _starts(topology)
    finally:
        os.sched_setaffinity(0, cores)
    return RenderBench(
        triangles=len(topology.faces),
        vertices=topology.vertex_count,
        rounds=rounds,
        ours_ms=ours,
        numpy_ms=numpy,
        agreement=agreement,
        compile_s=compile_s,
        start_s=start_s,
    )


def _heads(count: int) -> tuple[Topology, dict[str, NDArray[np.float32]]]:
    """Different starter heads with the mean skin, lit from the upper left."""
    generator = np.random.default_rng(0)
    with np.load(WEIGHTS / "head.npz") as head, np.load(WEIGHTS / "albedo.npz") as skin:
        topology = Topology(head["f"], head["vt"], head["ft"])
        shapes = generator.normal(size=(count, 100)) * head["shape_std"][:100]
        offsets = np.einsum("vak,bk->bva", head["shapedirs"][:, :, :100], shapes)
        vertices = head["v_template"] + offsets
        albedo = np.asarray(skin["mean"], np.float32).transpose(2, 0, 1)
    light = np.zeros((9, 3))
    light[0], light[1], light[2], light[3] = 2.8, -0.6, 0.5, 0.7
    inputs = {
        "vertices": vertices,
        "albedo": np.repeat(albedo[None], count, axis=0),
        "camera": np.tile(CAMERA, (count, 1)),
        "light": np.tile(light, (count, 1, 1)),
    }
    return topology, {
        name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()
    }


Work = tuple[Callable[[int], NDArray[np.float32]], Callable[[], NDArray[np.float32]]]


def _works(topology: Topology, inputs: dict[str, NDArray[np.float32]]) -> dict[str, Work]:
    """What is drawn -> (a batch of it by Warp, one of it by numpy)."""
    one = {name: array[0] for name, array in inputs.items()}
    peer = NumpyRenderer(topology)

    def scene_of(count: int):  # noqa: ANN202  # a Scene
        batch = {name: array[:count] for name, array in inputs.items()}
        return make_scene(**batch, topology=topology)

    return {
        "nine channels, 128": (
            lambda count: style_maps(scene_of(count), 128),
            lambda: peer.style_maps(**one, size=128),
        ),
        "RGBA, 224": (
            lambda count: rgba_images(scene_of(count), 224),
            lambda: peer.rgba(**one, size=224),
        ),
        "RGBA, 512": (
            lambda count: rgba_images(scene_of(count), 512),
            lambda: peer.rgba(**one, size=512),
        ),
    }


def _best_ms(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[index] = min(best[index], (time.perf_counter() - start) * 1e3)
    return best


def _agreement(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float((np.abs(ours - theirs) < 1 / 255).all(axis=0).mean())


def _starts(topology: Topology) -> tuple[float, float]:
    """Seconds to the first head with an empty cache and with a full one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "topology.npz"
        np.savez(path, f=topology.faces, vt=topology.uv, ft=topology.uv_faces)
        environment = {**os.environ, "WARP_CACHE_PATH": folder}
        command = [sys.executable, "-c", FIRST_HEAD, str(path)]
        first, second = (
            float(subprocess.check_output(command, env=environment, text=True)) for _ in range(2)
        )
    return first, second
