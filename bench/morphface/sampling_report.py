# SPDX-License-Identifier: Apache-2.0
"""Ways of sampling as a section of RESULTS.md."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import numpy as np

from bench.machine import machine, versions
from bench.morphface.directions import interval_of_mean
from bench.morphface.plan import Plan
from bench.morphface.recall import NEIGHBOURS
from bench.morphface.sampling import WAYS, Sampled

__all__ = ["sampling_section"]

_MEASURES = (
    ("intra_eir_style", "eIR"),
    ("data_eir_style", "data-set eIR"),
    ("intra_similarity", "cosine within"),
    ("identity_similarity", "to the identity"),
)


def sampling_section(found: Mapping[str, Sampled], plan: Plan, command: str) -> str:
    """The section that `python -m bench sampling` writes."""
    heads = ["solver", "steps", "precision", *(head for _, head in _MEASURES), "PSNR", "cosine"]
    rows = []
    for name, way in WAYS.items():
        if name not in found:
            continue
        row = found[name]
        cells = [f"`{way.solver}`", str(way.steps), way.variant or "fp32"]
        cells += [_cell(name, row, measure) for measure, _ in _MEASURES]
        if name == way.reference:
            cells += ["", ""]
        else:
            finite = row.psnr_db[np.isfinite(row.psnr_db)]
            cells.append(f"{finite.mean():.1f} dB" if len(finite) else "equal")
            cells.append(f"{row.cosines.mean():.4f} ({row.cosines.min():.3f})")
        rows.append(cells)
    return "\n".join(
        [
            f"## sampling: {plan.identities} people, {plan.images} pictures each",
            "",
            f"{datetime.date.today().isoformat()}, `{command}`.",
            f"Machine: {machine()}.",
            f"Versions: {versions()}.",
            "",
            *(["**The weights are random: these figures mean nothing.**", ""] * plan.untrained),
            f"Generator {plan.generator[:12]}, w = 0.5, t0 = 500: two rows a step.",
            f"k = {NEIGHBOURS}. In brackets the change from DDIM with 50 steps, or of a precision",
            "from fp32, in pairs of people with half of a 95 % interval. PSNR (mean) and cosine of",
            "the recogniser's features (mean, and the smallest) are to that reference's face of",
            "the same seed.",
            "",
            f"| {' | '.join(heads)} |",
            f"|{'---|' * len(heads)}",
            *(f"| {' | '.join(cells)} |" for cells in rows),
            "",
        ]
    )


def _cell(name: str, row: Sampled, measure: str) -> str:
    mean = interval_of_mean(row.figures.by_person[measure]).mean
    if name == WAYS[name].reference:
        return f"{mean:.3f}"
    change = row.changes[measure]
    return f"{mean:.3f} ({change.mean:+.3f} ± {change.half_width:.3f})"
