# SPDX-License-Identifier: Apache-2.0
"""The figures of avatars as a section of RESULTS.md, and as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.avatars.expressions import KINDS, MEAN_HEAD, ON_TRUE_HEAD, Distances
from bench.avatars.likeness import COLUMNS, Likenesses, spread_of
from bench.avatars.scans import Alignment
from bench.avatars.shown import VIEWS_DEG
from bench.avatars.sliders import STEPS, Sliders
from bench.machine import machine, versions
from mien_server.avatar.quality import SAME_PERSON_DIFD

if TYPE_CHECKING:
    from bench.avatars.quality import Quality

__all__ = ["quality_json", "quality_section"]

# The thesis's row "Our system" of table 4.1, of other faces, with FaceNet's embeddings.
PAPER = {"psnr": 23.15, "ssim": 0.835, "difd": 0.25, "lpips": 0.09}
_HEADS = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "difd": "DIFD",
    "similarity": "cosine",
    "lpips": "LPIPS",
}
_DIGITS = {"psnr": 2}


def quality_section(quality: Quality, command: str) -> str:
    """The section of RESULTS.md that `python -m bench avatar_quality` writes."""
    lines = [
        f"## avatar_quality: {quality.people} people",
        "",
        f"{datetime.date.today().isoformat()}, `{command}`.",
        f"Machine: {machine()}.",
        f"Versions: {versions()}.",
    ]
    if quality.likeness is not None:
        lines += ["", "### Likeness (table 4.1)", "", *_likeness(quality, quality.likeness)]
    if quality.distances is not None:
        lines += ["", "### Expressions (table 4.2)", "", *_expressions(quality.distances)]
    if quality.sliders is not None:
        lines += ["", "### Sliders", "", *_sliders(quality.sliders)]
    return "\n".join([*lines, ""])


def quality_json(quality: Quality) -> dict[str, Any]:
    """JSON-ready values, of what was measured."""
    found: dict[str, Any] = {"people": quality.people, "splits": list(quality.splits)}
    if (likeness := quality.likeness) is not None:
        found["likeness"] = {
            "figures": {name: _spread_json(known) for name, known in likeness.figures.items()},
            "same_difd": _spread_json(likeness.same_difd),
            "other_difd": _spread_json(likeness.other_difd),
            "refused": dict(likeness.refused),
            "elsewhere": likeness.elsewhere,
        }
        found["portrait"] = dict(quality.portrait)
    if (distances := quality.distances) is not None:
        found["distances_mm"] = [
            {"row": row, "view": view, "alignment": how.value, **_cells_json(mm)}
            for (row, view, how), mm in distances.mm.items()
        ]
        found["photographs"] = dict(distances.photographs)
        found["lost"] = dict(distances.lost)
    if quality.sliders is not None:
        found["sliders"] = dataclasses.asdict(quality.sliders)
    return found


def _likeness(quality: Quality, found: Likenesses) -> list[str]:
    names = [name for name in COLUMNS if name in found.figures]
    spreads = {name: spread_of(found.figures[name]) for name in names}
    count = spreads["difd"][2]
    refused = ", ".join(f"{number} with {code}" for code, number in found.refused.items())
    below = float((found.figures["difd"] < SAME_PERSON_DIFD).mean())
    rows = [
        [
            f"{count} photographs, mean ± deviation",
            *(f"{_text(n, spreads[n][0])} ± {_text(n, spreads[n][1])}" for n in names),
        ],
        ["portrait of the astronaut", *(_text(n, quality.portrait.get(n)) for n in names)],
        ["*thesis, other faces*", *(_text(n, PAPER.get(n)) for n in names)],
    ]
    same, other = spread_of(found.same_difd), spread_of(found.other_difd)
    return [
        *_table(["", *(_HEADS[name] for name in names)], rows),
        "",
        f"People of the split {' and '.join(quality.splits)}. No avatar: "
        f"{refused or 'none was refused'}; {found.elsewhere} with something else taken for the",
        "face. PSNR and SSIM are of the face within its landmarks, DIFD and cosine of the",
        f"recogniser in use; the thesis takes FaceNet's. {below:.0%} are below its "
        f"{SAME_PERSON_DIFD}, which",
        f"says little: two photographs of one person are {same[0]:.2f} ± {same[1]:.2f} apart, of",
        f"two people {other[0]:.2f} ± {other[1]:.2f}.",
        *([] if "lpips" in names else ["LPIPS was left out: nobody gave its weights (`--lpips`)."]),
    ]


def _expressions(distances: Distances) -> list[str]:
    views = list(VIEWS_DEG)
    counted = ", ".join(
        f"{distances.photographs[view]} from the {view} (|yaw| {low:g}° to {high:g}°; "
        f"{distances.lost.get(view, 0)} more gave no avatar)"
        for view, (low, high) in VIEWS_DEG.items()
    )
    heads = ["", *(f"{view} {name}" for view in views for name in ("mean", "median", "std"))]
    lines = [f"Photographs: {counted}.", ""]
    for how in Alignment:
        labels = {**KINDS, **ON_TRUE_HEAD, MEAN_HEAD: "mean head, neutral"}
        rows = [
            [label, *(_mm(x) for view in views for x in _cells(distances.mm[row, view, how]))]
            for row, label in labels.items()
            if (row, views[0], how) in distances.mm
        ]
        lines += [f"In mm, aligned by {how.value}:", "", *_table(heads, rows), ""]
    return lines[:-1]


def _sliders(found: Sliders) -> list[str]:
    rows = [
        [name, f"{found.moved_mm[name]:.2f}", f"{found.beyond_mm[name]:.3f}"]
        for name in found.moved_mm
    ]
    return [
        f"{found.avatars} avatars, each slider in {STEPS} steps to 1.",
        "",
        *_table(["slider", "moves the face by, mm", "anything beyond its actions, mm"], rows),
        "",
        f"{found.rising:.2%} of the steps move the face farther than the one before, and "
        f"{found.expected:.1%} of the movements that an emotion is known by go the right way.",
        f"The head at rest in the file moves by {found.rest_mm:.2g} mm, whatever is worn. All",
        f"sliders at 0 move {found.zero_mm:.2g} mm; an emotion differs by {found.order_mm:.2g} mm",
        "where another one was worn before.",
    ]


def _cells(mm: Any) -> tuple[float, float, float]:
    return float(np.mean(mm)), float(np.median(mm)), float(np.std(mm))


def _cells_json(mm: Any) -> dict[str, float]:
    return dict(zip(("mean", "median", "std"), _cells(mm), strict=True))


def _spread_json(values: Any) -> Mapping[str, float | None]:
    mean, deviation, count = spread_of(values)
    known = {"mean": mean, "deviation": deviation}
    return {**{n: v if math.isfinite(v) else None for n, v in known.items()}, "count": count}


def _mm(value: float) -> str:
    return f"{value:.2f}"


def _text(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS.get(name, 3)}f}"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]
