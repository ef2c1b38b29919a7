# SPDX-License-Identifier: Apache-2.0
"""eIR and similarity against t0 and w, frequencies, and the pictures themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.morphface.directions import interval_of_mean
from bench.morphface.evidence import PHOTOGRAPHS_ROW
from bench.morphface.figures import Figures
from bench.morphface.measures import BAND_EDGES
from bench.morphface.settings import SETTINGS, SWEEPS
from bench.morphface.store import Faces, png_from_image

__all__ = ["draw_frequencies", "draw_sheet", "draw_sweeps"]

_PANELS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "eIR, style": (("intra_eir_style", "within a person"), ("data_eir_style", "data set")),
    "cosine": (("intra_similarity", "within a person"), ("identity_similarity", "to the identity")),
}
_PAPER = {"eIR, style": "eir", "cosine": "similarity"}
_LABELLED_PX = 150  # of a sheet, beside the pictures


def draw_sweeps(figures: Mapping[str, Figures], path: Path, title: str) -> None:
    """One panel for each measure and sweep, with the paper's curve.

    Args:
        figures: by setting; sweeps of which settings are missing have gaps.
        path: of the picture, its ending decides the format.
        title: above it.
    """
    figure, axes = _subplots(len(_PANELS), len(SWEEPS))
    for row, (panel, measures) in zip(axes, _PANELS.items(), strict=True):
        for axis, (sweep, steps) in zip(row, SWEEPS.items(), strict=True):
            for measure, label in measures:
                _curve(axis, figures, measure, steps, label)
            known = [(x, row.paper) for x, name in steps if (row := SETTINGS[name]).paper]
            values = [getattr(paper, _PAPER[panel]) for _, paper in known]
            axis.plot([x for x, _ in known], values, "k--x", linewidth=0.8, label="paper, within")
            axis.set(xlabel={"t0": "switching step t0", "w": "guidance weight w"}[sweep])
            axis.set(ylabel=panel, xticks=[x for x, _ in steps])
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
    _save(figure, path, title)


def draw_frequencies(figures: Mapping[str, Figures], path: Path, title: str) -> None:
    """Variance within a person in each band, of a few settings and of photographs."""
    figure, axes = _subplots(1, 1)
    axis = axes[0][0]
    # A band's middle is the geometric mean of its edges; the first is the mean grey.
    middles = [0.25, *np.sqrt(np.multiply(BAND_EDGES[1:-1], (*BAND_EDGES[2:-1], 91)))]
    for name in ("no_blending", "default", "w_1", PHOTOGRAPHS_ROW):
        if name in figures:
            label = SETTINGS[name].label if name in SETTINGS else name
            style = "k--" if name == PHOTOGRAPHS_ROW else "-o"
            axis.plot(middles, figures[name].bands, style, markersize=3, label=label)
    axis.set(xscale="log", yscale="log", xlabel="cycles per picture", ylabel="variance")
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, path, title)


def draw_sheet(rows: Sequence[tuple[str, Faces]], path: Path) -> None:
    """Pictures of a person, a setting in each row; a column has one seed and one style."""
    lines = []
    for label, faces in rows:
        margin = np.full((faces.images_rgb.shape[1], _LABELLED_PX, 3), 255, np.uint8)
        cv2.putText(
            margin, label, (4, 68), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA
        )
        lines.append(np.hstack([margin, *faces.images_rgb]))
    path.write_bytes(png_from_image(np.vstack(lines)))


def _curve(
    axis: Any,
    figures: Mapping[str, Figures],
    measure: str,
    steps: Sequence[tuple[float, str]],
    label: str,
) -> None:
    known = [
        (x, interval_of_mean(figures[name].by_person[measure]))
        for x, name in steps
        if name in figures and measure in figures[name].by_person
    ]
    if known:
        means = [interval.mean for _, interval in known]
        lower = [interval.mean - interval.low for _, interval in known]
        upper = [interval.high - interval.mean for _, interval in known]
        places = [x for x, _ in known]
        axis.errorbar(places, means, yerr=[lower, upper], marker="o", capsize=3, label=label)


def _subplots(rows: int, columns: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (4.5 * columns, 3.4 * rows)
    return pyplot.subplots(rows, columns, squeeze=False, figsize=size)


def _save(figure: Any, path: Path, title: str) -> None:
    from matplotlib import pyplot

    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
