# SPDX-License-Identifier: Apache-2.0
"""The figures as a section of RESULTS.md, and as JSON."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from bench.machine import machine, versions
from bench.morphface.directions import Direction, interval_of_mean
from bench.morphface.evidence import Evidence
from bench.morphface.figures import Figures
from bench.morphface.measures import ATTRIBUTES, BAND_EDGES
from bench.morphface.recall import NEIGHBOURS
from bench.morphface.settings import SETTINGS

__all__ = ["evidence_json", "evidence_section"]

_WHO = {
    "photographed": "People of whom the generator was shown one photograph",
    "new": "New people, whom no photograph shows",
}
_MAIN = (
    ("intra_eir_style", "eIR", "eir"),
    ("data_eir_style", "data-set eIR", None),
    ("intra_similarity", "cosine within", "similarity"),
    ("inter_similarity", "between people", None),
    ("identity_similarity", "to the identity", None),
)
_OTHER_RECALLS = (
    ("intra_eir_thumbnail", "eIR, thumbnail"),
    ("data_eir_thumbnail", "data set"),
    ("intra_eir_embedding", "eIR, embedding"),
    ("data_eir_embedding", "data set"),
)


def evidence_section(evidence: Evidence, command: str) -> str:
    """The section of RESULTS.md that `python -m bench morphface` writes."""
    plan = evidence.plan
    size = f"{plan.identities} people, {plan.images} pictures each in each setting"
    lines = [
        f"## morphface: {size}",
        "",
        f"{datetime.date.today().isoformat()}, `{command}`.",
        f"Machine: {machine()}.",
        f"Versions: {versions()}.",
        "",
        *(["**The weights are random: these figures mean nothing.**", ""] * plan.untrained),
        f"Generator {plan.generator[:12]}, {plan.solver or 'the default solver'}, "
        f"{plan.steps or 'its default'} steps. Photographs: people of the split "
        f"{' and '.join(evidence.splits)}, {evidence.covered} of each to be covered; k = "
        f"{NEIGHBOURS}. Seeds and styles are the same in every setting. ± is half of a 95 %",
        "interval over people; columns in italics are the paper's table 4, of other people, other",
        "networks and other features.",
        "",
    ]
    for group, figures in evidence.figures.items():
        lines += [f"### {_WHO[group]}", "", *_main_table(figures), ""]
        lines += [*_claims(evidence.directions[group]), ""]
        lines += ["eIR in other feature spaces:", "", *_recall_table(figures), ""]
        lines += ["Variance of DECA's attributes within a person / over all:", ""]
        lines += [*_variance_table(figures), ""]
        lines += ["Variance of frequencies within a person, by cycles per picture:", ""]
        lines += [*_band_table(figures), ""]
    return "\n".join(lines)


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """JSON-ready values."""
    return {
        "plan": dataclasses.asdict(evidence.plan),
        "splits": list(evidence.splits),
        "covered_photographs_of_each": evidence.covered,
        "k": NEIGHBOURS,
        "band_edges_cycles": list(BAND_EDGES[:-1]),
        "groups": {
            group: {name: _row_json(name, row) for name, row in figures.items()}
            for group, figures in evidence.figures.items()
        },
        "directions": {
            group: [{**dataclasses.asdict(d), "verdict": d.verdict} for d in directions]
            for group, directions in evidence.directions.items()
        },
    }


def _row_json(name: str, figures: Figures) -> dict[str, Any]:
    setting = SETTINGS.get(name)
    paper = None if setting is None else setting.paper
    return {
        "setting": None if setting is None else {**dataclasses.asdict(setting), "paper": None},
        "paper": None if paper is None else dataclasses.asdict(paper),
        "measures": {
            measure: dataclasses.asdict(interval_of_mean(values))
            for measure, values in figures.by_person.items()
        },
        "attribute_variances": dict(figures.variances),
        "data_attribute_variances": dict(figures.data_variances),
        "frequency_variances": figures.bands.tolist(),
        "taken_for_faces": figures.taken_for_faces,
    }


def _main_table(figures: Mapping[str, Figures]) -> list[str]:
    heads = ["setting"]
    for _, head, paper in _MAIN:
        heads += [head, "*paper*"] if paper else [head]
    rows = []
    for name, row in figures.items():
        setting = SETTINGS.get(name)
        cells = [_label(name)]
        for measure, _, paper in _MAIN:
            cells.append(_cell(row, measure))
            if paper:
                known = setting.paper if setting else None
                cells.append(f"*{getattr(known, paper)}*" if known else "")
        rows.append(cells)
    return _table(heads, rows)


def _recall_table(figures: Mapping[str, Figures]) -> list[str]:
    rows = [
        [_label(name), *(_cell(row, measure) for measure, _ in _OTHER_RECALLS)]
        for name, row in figures.items()
    ]
    return _table(["setting", *(head for _, head in _OTHER_RECALLS)], rows)


def _variance_table(figures: Mapping[str, Figures]) -> list[str]:
    rows = [
        [
            _label(name),
            *(f"{row.variances[a]:.3g} / {row.data_variances[a]:.3g}" for a in ATTRIBUTES),
            f"{row.taken_for_faces:.0%}",
        ]
        for name, row in figures.items()
    ]
    return _table(["setting", *ATTRIBUTES, "taken for a face"], rows)


def _band_table(figures: Mapping[str, Figures]) -> list[str]:
    heads = ["mean", *(f"{low:g}-{high:g}" for low, high in _octaves())]
    rows = [
        [_label(name), *(f"{value:.3g}" for value in row.bands)] for name, row in figures.items()
    ]
    return _table(["setting", *heads], rows)


def _octaves() -> list[tuple[float, float]]:
    # The highest frequency is the corner of the spectrum of a picture of 128 pixels.
    return list(zip(BAND_EDGES[1:-1], (*BAND_EDGES[2:-1], 91), strict=True))


def _claims(directions: list[Direction]) -> list[str]:
    if not directions:
        return ["No sweep is complete: nothing can be said of directions."]
    heads = ["what the paper finds", "here", "change", "verdict"]
    rows = [
        [
            f"{d.measure} {'rises' if d.sign > 0 else 'falls'} with {d.sweep}",
            " → ".join(f"{value:.3f}" for value in d.values),
            f"{d.change.mean:+.3f} ({d.change.low:+.3f} to {d.change.high:+.3f})",
            f"**{d.verdict}**",
        ]
        for d in directions
    ]
    return _table(heads, rows)


def _label(name: str) -> str:
    return SETTINGS[name].label if name in SETTINGS else name


def _cell(row: Figures, measure: str) -> str:
    values = row.by_person.get(measure)
    if values is None:
        return ""
    interval = interval_of_mean(values)
    return f"{interval.mean:.3f} ± {interval.half_width:.3f}"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]
