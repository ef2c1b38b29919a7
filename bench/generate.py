# SPDX-License-Identifier: Apache-2.0
"""Denoising steps shared by requests: three ways on Triton, and a tight loop in one process."""

from __future__ import annotations

import hashlib
import json
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tritonclient.grpc as triton
from rich.console import Console

from bench.serving import BUILD, server_options
from mien_server.serve import Server
from mien_server.threads import available_cores

__all__ = ["IN_FLIGHT", "SCHEDULERS", "GenerateBench", "run_generate_bench"]

MODELS = Path(__file__).parent / "models"
DENOISER = "face_denoiser"
NETWORK = "morphface_narrow"
SCHEDULERS = ("denoise_loop", "denoise_async", "denoise_sequence")
IN_FLIGHT = (1, 8)
ROWS_OF_A_SAMPLE = 2  # it is guided


@dataclass(frozen=True, slots=True)
class GenerateBench:
    """Medians over the rounds.

    Attributes:
        steps: of each sample.
        threads: the budget of every stage and loop.
        loops: samples at once -> denoising steps of a sample per second, in one process.
        served: (scheduler, in flight) -> the same over gRPC.
        agree: whether all schedulers gave the same latents for a seed.
    """

    steps: int
    threads: int
    loops: dict[int, float]
    served: dict[tuple[str, int], float]
    agree: bool


def run_generate_bench(*, steps: int, rounds: int, console: Console) -> GenerateBench:
    """Measure; loops and schedulers take turns, so that a change of the machine hits all."""
    threads = available_cores()
    console.print(f"building {NETWORK} with random weights")
    repository = _build_repository()
    runs: dict[object, list[float]] = defaultdict(list)
    latents: dict[str, bytes] = {}
    with Server(server_options(repository)) as server:
        for scheduler in SCHEDULERS:
            (latents[scheduler],) = _sampled(server.grpc_address, scheduler, [7], 3)
        for number in range(1, rounds + 1):
            for samples in IN_FLIGHT:
                loop = _tight_loop(repository, samples, threads)
                _measure(runs, samples, lambda: loop(steps), samples * steps)  # noqa: B023
                for scheduler in SCHEDULERS:
                    seeds = list(range(samples))
                    _measure(
                        runs,
                        (scheduler, samples),
                        lambda: _sampled(server.grpc_address, scheduler, seeds, steps),  # noqa: B023
                        samples * steps,
                    )
            for key, rates in runs.items():
                console.print(f"round {number}: {key}: {rates[-1]:.1f} steps of a sample per s")
    medians = {key: float(np.median(rates)) for key, rates in runs.items()}
    return GenerateBench(
        steps=steps,
        threads=threads,
        loops={samples: medians[samples] for samples in IN_FLIGHT},
        served={(name, n): medians[name, n] for name in SCHEDULERS for n in IN_FLIGHT},
        agree=len(set(latents.values())) == 1,
    )


def _measure(
    runs: dict[object, list[float]], key: object, work: Callable[[], object], count: int
) -> None:
    begun = time.perf_counter()
    work()
    runs[key].append(count / (time.perf_counter() - begun))


def _tight_loop(repository: Path, samples: int, threads: int) -> Callable[[int], None]:
    """Calls of the graph one after the other, on inputs that are already there."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(repository / DENOISER / "1" / "model.onnx"), options, ["CPUExecutionProvider"]
    )
    rows, rng = samples * ROWS_OF_A_SAMPLE, np.random.default_rng(0)
    shapes = {"z": (3, 32, 32), "c_id": (512,), "c_sty": (512,)}
    inputs = {
        name: rng.standard_normal((rows, *shape), np.float32) for name, shape in shapes.items()
    }
    inputs |= {name: np.ones((rows, 1), np.float32) for name in ("t", "keep_id", "keep_sty")}
    session.run(None, inputs)

    def run(steps: int) -> None:
        for _ in range(steps):
            session.run(None, inputs)

    return run


def _sampled(address: str, scheduler: str, seeds: list[int], steps: int) -> list[bytes]:
    """Latents of requests that are sent at once."""
    latents: dict[int, bytes] = {}

    def ask(seed: int) -> None:
        latents[seed] = _latent(address, scheduler, seed, steps)

    callers = [threading.Thread(target=ask, args=(seed,)) for seed in seeds]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return [latents[seed] for seed in seeds]


def _latent(address: str, scheduler: str, seed: int, steps: int) -> bytes:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    is_sequence = scheduler == "denoise_sequence"
    shape = [1, 1] if is_sequence else [1]
    inputs = [
        triton.InferInput("seed", shape, "UINT64"),
        triton.InferInput("steps", shape, "INT32"),
    ]
    inputs[0].set_data_from_numpy(np.full(shape, seed, np.uint64))
    inputs[1].set_data_from_numpy(np.full(shape, steps, np.int32))
    sequence = {"sequence_id": seed + 1, "sequence_start": True, "sequence_end": False}
    with triton.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(scheduler, inputs, **(sequence if is_sequence else {}))
        result, error = answers.get(timeout=120)
        client.stop_stream()
    if error is not None:
        raise error
    return bytes(result.as_numpy("latent").tobytes())


def _build_repository() -> Path:
    path = BUILD / "generate"
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(path), "--weights"]
    command += ["random", "--model", DENOISER, "--network", f"{DENOISER}={NETWORK}"]
    for scheduler in SCHEDULERS:  # the exporter does not know them
        shutil.rmtree(path / scheduler, ignore_errors=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for scheduler in SCHEDULERS:
        shutil.copytree(MODELS / scheduler, path / scheduler)
        shutil.copy(MODELS / "denoising.py", path / scheduler / "1")
        _write_manifest(path / scheduler)
    return path


def _write_manifest(folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    manifest = {
        "schema": 1, "model": folder.name, "kind": "python", "public": False, "untrained": True,
        "depends_on": [DENOISER], "inputs_digest": "", "files": files, "tools": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
