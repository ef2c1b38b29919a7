# SPDX-License-Identifier: Apache-2.0
"""The cost of avatars as a section of RESULTS.md."""

from __future__ import annotations

import datetime

from bench.avatars.speed import CHANGES, CREATE, AvatarBench
from bench.load import Load
from bench.machine import machine, versions

__all__ = ["speed_section"]


def speed_section(bench: AvatarBench, command: str) -> str:
    """The section of RESULTS.md that `python -m bench avatar` writes."""
    loop, one = bench.loops[CREATE], bench.served[CREATE]
    files = "the same file, byte by byte" if bench.agree else "DIFFERENT files"
    lines = [
        f"## avatar: one photograph to a GLB with hair, {bench.threads} threads",
        "",
        f"{datetime.date.today().isoformat()}, `{command}`.",
        f"Machine: {machine()}.",
        f"Versions: {versions()}.",
        "",
        "The loop calls the same graphs and the same code one after the other in one process; its",
        f"time is the sum of the bare stages. Both ways give {files}. One in flight takes",
        "turns with the loop, call by call; figures are medians over the rounds.",
        "",
        "| what | per second | p50 ms | p95 ms | against the loop |",
        "|---|---|---|---|---|",
        _row("create_avatar, loop in one process", loop),
        _row("create_avatar, gRPC, 1 in flight", one, _share(one, loop)),
    ]
    for in_flight, load in bench.crowded.items():
        lines.append(_row(f"create_avatar, gRPC, {in_flight} in flight", load, _share(load, loop)))
    for what, label in CHANGES.items():
        lines.append(_row(f"{label}, loop", bench.loops[what]))
        load = bench.served[what]
        lines.append(_row(f"{label}, gRPC", load, _share(load, bench.loops[what])))
    return "\n".join([*lines, "", *_stages(bench), ""])


def _stages(bench: AvatarBench) -> list[str]:
    """Where create_avatar's time goes, loop and server side by side."""
    lines = [
        "Milliseconds per avatar in each model, with those that it calls in turn; on the server",
        "with the way there, and what of it was waiting in a queue. What these rows do not explain",
        "of the last one, `create_avatar` does itself: decoding, skin, hair, likeness, file; on",
        "the server the way to the client, too.",
        "",
        "| model | calls | loop | server | of it waiting | more |",
        "|---|---|---|---|---|---|",
    ]
    for name, stage in bench.stages.items():
        lines.append(
            f"| {name} | {stage.calls:.0f} | {stage.loop_ms:.1f} | {stage.served_ms:.1f} | "
            f"{stage.waited_ms:.1f} | {stage.served_ms - stage.loop_ms:+.1f} |"
        )
    loop, server = (1e3 / load[CREATE].per_s for load in (bench.loops, bench.served))
    return [*lines, f"| the whole avatar | | {loop:.1f} | {server:.1f} | | {server - loop:+.1f} |"]


def _share(load: Load, loop: Load) -> str:
    return f"{load.per_s / loop.per_s:.0%}, {load.p50_ms - loop.p50_ms:+.1f} ms"


def _row(what: str, load: Load, against: str = "") -> str:
    return f"| {what} | {load.per_s:.2f} | {load.p50_ms:.1f} | {load.p95_ms:.1f} | {against} |"
