# SPDX-License-Identifier: Apache-2.0
"""One measurement of `bench.gallery` in a process of its own, whose threads its caller limits.

`python -m bench.gallery_process build|search FOLDER TEMPLATES PROBES` prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.gallery_people import people
from mien_server.gallery import Enrolment, LocalGallery
from mien_server.gallery.approximate import ApproximateIndex
from mien_server.gallery.rotation import Rotation

KEY, SPACE, NAME = bytes(range(32)), "bench", "people"
PER_PERSON, BATCH, TOP = 2, 1000, 10


def build(folder: Path, templates: int, probes: int) -> dict[str, float]:
    """Enrol everybody; seconds, of which the processor was busy, and the file's size."""
    faces, _ = _faces(templates, probes)
    gallery = LocalGallery.create(folder / NAME, NAME, SPACE, KEY)
    wall, busy = time.perf_counter(), time.process_time()
    for start in range(0, len(faces), BATCH):
        some = faces[start : start + BATCH]
        gallery.enrol_many([Enrolment(f"p{start + n}", rows) for n, rows in enumerate(some)])
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    gallery.close()
    size = (folder / NAME / "templates.log").stat().st_size
    return {"build_s": wall, "build_cpu_s": busy, "file_mb": size / 1e6}


def search(folder: Path, templates: int, probes: int) -> dict[str, object]:
    """Open, and search in turns with numpy and with the bare index."""
    before = psutil.Process().memory_info().rss
    wall, busy = time.perf_counter(), time.process_time()
    gallery = LocalGallery.open(folder / NAME, NAME, SPACE, KEY)
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    memory = psutil.Process().memory_info().rss - before
    faces, probed = _faces(templates, probes)
    flat = faces.reshape(-1, 512)
    index = ApproximateIndex(Rotation(KEY, bytes(32)).turn(flat))
    turned = Rotation(KEY, bytes(32)).turn(probed)
    owners = np.arange(len(flat)) // PER_PERSON
    works: dict[str, Callable[[int], object]] = {
        "gallery": lambda n: gallery.search(probed[n], top=TOP),
        "numpy": lambda n: _exact(flat, probed[n]),
        "index": lambda n: index.candidates(turned[n], TOP),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    found, hits, first = 0, 0, 0
    for number in range(len(probed)):
        answers = {}
        for name, work in works.items():
            start, start_busy = time.perf_counter(), time.thread_time()
            answers[name] = work(number)
            elapsed = time.perf_counter() - start, time.thread_time() - start_busy
            times[name].append(elapsed)
        (matches,) = answers["gallery"]  # type: ignore[misc]
        ours = [match.subject.name for match in matches]
        exact = _subjects(flat @ probed[number], owners)
        found, hits = found + len(exact), hits + len(set(ours) & set(exact))
        first += ours[0] == exact[0]
    ms = {
        f"{name} {kind} p{share}": 1e3 * float(np.percentile(np.array(taken)[:, column], share))
        for name, taken in times.items()
        for column, kind in enumerate(("wall", "cpu"))
        for share in (50, 99)
    }
    return {
        "open_s": wall,
        "open_cpu_s": busy,
        "memory_mb": memory / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "recall": hits / found,
        "first": first / len(probed),
        "ms": ms,
    }


def _faces(templates: int, probes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(P, 2, 512) to enrol; and (probes, 512), half of people among them and half of strangers."""
    photographs = people(templates // PER_PERSON, per=PER_PERSON + 1)
    strangers = people(probes // 2, seed=1)[:, 0]
    mated = photographs[: probes - probes // 2, PER_PERSON]
    return photographs[:, :PER_PERSON], np.concatenate([mated, strangers])


def _exact(flat: NDArray[np.float32], probe: NDArray[np.float32]) -> NDArray[np.intp]:
    scores = flat @ probe
    best = np.argpartition(scores, len(scores) - TOP)[-TOP:]
    order: NDArray[np.intp] = best[np.argsort(-scores[best])]
    return order


def _subjects(scores: NDArray[np.float32], owners: NDArray[np.intp]) -> list[str]:
    seen: dict[int, None] = {}
    for row in np.argsort(-scores)[: TOP * PER_PERSON]:
        seen.setdefault(int(owners[row]))
    return [f"p{owner}" for owner in list(seen)[:TOP]]


if __name__ == "__main__":
    verb, folder, templates, probes = sys.argv[1:]
    figures = {"build": build, "search": search}[verb](Path(folder), int(templates), int(probes))
    print(json.dumps(figures))
