# SPDX-License-Identifier: Apache-2.0
"""The starter recogniser in each precision: how fast, how large, how near to fp32."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console

from bench.serving import BUILD

__all__ = ["PRECISIONS", "Precision", "run_precision_bench"]

FILES = {"fp32": "model.onnx", "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}
PRECISIONS = tuple(FILES)
BATCHES = (1, 8)
_CALIBRATING, _COMPARED = 400, 200  # crops


@dataclass(frozen=True, slots=True)
class Precision:
    """One graph.

    Attributes:
        megabytes: of its file.
        ms: batch -> milliseconds a face, median of the rounds.
        mean_cosine: of its embeddings with those of fp32, over crops it was not calibrated on.
        min_cosine: the worst of them.
    """

    megabytes: float
    ms: dict[int, float]
    mean_cosine: float
    min_cosine: float


def run_precision_bench(
    crops: Path, *, rounds: int, threads: int, console: Console
) -> dict[str, Precision]:
    """Build all three and let them take turns.

    Args:
        crops: ``.npz`` with "crops", (N, 112, 112, 3) uint8, as `mien_starter crops` writes it.
        rounds: how often each is run at each batch size.
        threads: of every session.
        console: shows what is measured.
    """
    with np.load(crops) as archive:
        images = archive["crops"]
    if len(images) < _CALIBRATING + _COMPARED:
        raise SystemExit(
            f"{crops} has {len(images)} crops; {_CALIBRATING + _COMPARED} or more are needed."
        )
    folder = _built(images[:_CALIBRATING])
    faces = np.ascontiguousarray(images[-_COMPARED:].transpose(0, 3, 1, 2).astype(np.float32))
    sessions = {name: _session(folder / file, threads) for name, file in FILES.items()}
    embeddings = {name: _embedded(session, faces) for name, session in sessions.items()}
    seconds: dict[tuple[str, int], list[float]] = {}
    for batch in BATCHES:
        feed = {"crop_112": faces[:batch]}
        for _ in range(rounds):
            for name, session in sessions.items():
                start = time.perf_counter()
                session.run(None, feed)
                seconds.setdefault((name, batch), []).append(time.perf_counter() - start)
        console.print(f"batch {batch}:", *(f"{n} {_ms(seconds, n, batch):.2f} ms" for n in FILES))
    results = {}
    for name, file in FILES.items():
        cosines = (embeddings[name] * embeddings["fp32"]).sum(axis=1)
        results[name] = Precision(
            megabytes=(folder / file).stat().st_size / 1e6,
            ms={batch: _ms(seconds, name, batch) for batch in BATCHES},
            mean_cosine=float(cosines.mean()),
            min_cosine=float(cosines.min()),
        )
    return results


def _built(calibrating: NDArray[np.uint8]) -> Path:
    """The folder with the three graphs."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "calibrating.npy"
    np.save(path, calibrating)
    repository = BUILD / "precision"
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(repository)]
    command += ["--weights", "starter", "--model", "face_recognizer"]
    command += ["--precision", ",".join(PRECISIONS), "--calibration", f"face_recognizer={path}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return repository / "face_recognizer" / "1"


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _embedded(session: onnxruntime.InferenceSession, faces: NDArray[np.float32]) -> np.ndarray:
    parts = [
        session.run(None, {"crop_112": faces[start : start + 8]})[0]
        for start in range(0, len(faces), 8)
    ]
    vectors = np.concatenate(parts).astype(np.float64)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _ms(seconds: dict[tuple[str, int], list[float]], name: str, batch: int) -> float:
    return float(np.median(seconds[name, batch])) * 1e3 / batch
