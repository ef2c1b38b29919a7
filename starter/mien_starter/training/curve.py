# SPDX-License-Identifier: Apache-2.0
"""The loss curve of a run: rows in a CSV file, and a picture of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Curve"]


class Curve:
    """Mean losses by step, kept in ``curve.csv``.

    Args:
        directory: of the run.
        first: rows of this step and later ones are dropped: they will be made again.
    """

    def __init__(self, directory: Path, first: int) -> None:
        self._path = directory / "curve.csv"
        self.rows: list[dict[str, float]] = []
        if self._path.is_file() and first:
            with self._path.open(newline="") as file:
                rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
            self.rows = [row for row in rows if row["step"] <= first]

    def add(self, row: dict[str, float]) -> None:
        """Take a row; "step" counts the finished steps."""
        self.rows.append(row)

    def save(self) -> None:
        """Write the rows."""
        if not self.rows:
            return
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def draw(self, title: str) -> None:
        """Write ``curve.png``: one panel for every column."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        names = [name for name in (self.rows or [{}])[0] if name != "step"]
        if not names:
            return
        columns = min(len(names), 3)
        figure, axes = pyplot.subplots(
            math.ceil(len(names) / columns), columns, squeeze=False, figsize=(4 * columns, 6)
        )
        steps = [row["step"] for row in self.rows]
        for name, axis in zip(names, axes.flat, strict=False):
            values = [row[name] for row in self.rows]
            axis.plot(steps, values, linewidth=0.8)
            axis.set_title(name)
            if _spans_decades(values):
                axis.set_yscale("log")
        figure.suptitle(title)
        figure.tight_layout()
        figure.savefig(self._path.with_suffix(".png"), dpi=80)
        pyplot.close(figure)


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > 10 * min(values)
