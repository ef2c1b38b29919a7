# SPDX-License-Identifier: Apache-2.0
"""Progress for people: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["counting"]

LINE_INTERVAL_S = 20.0


@contextmanager
def counting(
    console: Console, purpose: str, total: int, unit: str
) -> Iterator[Callable[..., None]]:
    """Show how much of something is done.

    Args:
        console: where to.
        purpose: what is going on.
        total: how many units there are.
        unit: what is counted, in the plural.

    Yields:
        A function of the number of finished units and, optionally, a remark.
    """
    if not console.is_terminal:
        yield _lines(console, purpose, total, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(purpose, total=total, remark="")

        def update(done: int, remark: str = "") -> None:
            progress.update(task, completed=done, remark=remark)

        yield update


def _lines(console: Console, purpose: str, total: int, unit: str) -> Callable[..., None]:
    start = first = last = None

    def update(done: int, remark: str = "") -> None:
        nonlocal start, first, last
        now = time.monotonic()
        if start is None or first is None:
            start, first = now, done
        if last is not None and done < total and now - last < LINE_INTERVAL_S:
            return
        last = now
        rate = (done - first) / max(now - start, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
        text = f"{purpose}: {done} of {total} {unit}{left} {remark}".rstrip()
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    return update
