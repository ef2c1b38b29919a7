# SPDX-License-Identifier: Apache-2.0
"""Searching a gallery, against numpy and against the bare index of its library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.report import provenance

__all__ = ["GalleryBench", "gallery_section", "run_gallery_bench"]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_WORKS = {
    "gallery": "gallery, `search(top=10)`",
    "numpy": "numpy, all products and the ten largest",
    "index": "the bare index, ten candidates",
}


@dataclass(frozen=True, slots=True)
class GalleryBench:
    """Figures of one run, each process with one thread.

    Attributes:
        templates: how many were enrolled, two of each subject.
        probes: how many were searched for.
        build_s: enrolling them in batches of 1000 subjects, on the disk.
        build_cpu_s: of that, time of the processor.
        file_mb: size of the gallery's file.
        open_s: opening it again.
        open_cpu_s: of that, time of the processor.
        memory_mb: what opening adds to the process.
        peak_mb: the most the searching process took, numpy's and the bare index's vectors included.
        recall: share of the ten most similar subjects of each probe that were found.
        first: share of probes whose most similar subject came first.
        ms: "work wall|cpu p50|p99" -> milliseconds of a search.
    """

    templates: int
    probes: int
    build_s: float
    build_cpu_s: float
    file_mb: float
    open_s: float
    open_cpu_s: float
    memory_mb: float
    peak_mb: float
    recall: float
    first: float
    ms: dict[str, float]


def run_gallery_bench(*, templates: int, probes: int, console: Console) -> GalleryBench:
    """Measure, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, Any] = {}
        for verb in ("build", "search"):
            console.print(f"gallery: {verb}")
            figures |= _measured(verb, Path(folder), templates, probes)
    return GalleryBench(templates, probes, **figures)


def _measured(verb: str, folder: Path, templates: int, probes: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.gallery_process", verb]
    done = subprocess.run(
        [*command, str(folder), str(templates), str(probes)],
        env=os.environ | _ONE_THREAD,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def gallery_section(bench: GalleryBench, command: str) -> str:
    """The section of RESULTS.md that `python -m bench gallery` writes."""
    lines = [
        f"## gallery: {bench.templates} synthetic templates, one thread",
        "",
        *provenance(command),
        f"Index: faiss-cpu {version('faiss-cpu')}.",
        "",
        f"Two templates of each subject; {bench.probes} probes, half of them of people enrolled.",
        "The three works take turns, probe by probe. Time of the processor is that of the thread",
        "alone, in milliseconds: what a search takes where nobody else wants the core; the last",
        "column compares it.",
        "",
        f"- enrolled, each batch of 1000 subjects on the disk: {bench.build_s:.1f} s "
        f"({bench.build_cpu_s:.1f} s of the processor), {bench.file_mb:.0f} MB",
        f"- opened: {bench.open_s:.1f} s ({bench.open_cpu_s:.1f} s of the processor), "
        f"{bench.memory_mb:.0f} MB of memory",
        f"- most similar subject first: {bench.first:.2%}; of the ten most similar "
        f"{bench.recall:.2%} found",
        "",
        "| what | p50 ms | p99 ms | processor p50 | processor p99 | p50 against numpy |",
        "|---|---|---|---|---|---|",
    ]
    for work, title in _WORKS.items():
        shown = [
            bench.ms[f"{work} {kind} p{share}"] for kind in ("wall", "cpu") for share in (50, 99)
        ]
        against = bench.ms[f"{work} cpu p50"] / bench.ms["numpy cpu p50"]
        lines.append(f"| {title} | {' | '.join(f'{ms:.2f}' for ms in shown)} | {against:.2f}x |")
    return "\n".join([*lines, ""])
