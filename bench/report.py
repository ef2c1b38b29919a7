# SPDX-License-Identifier: Apache-2.0
"""Figures as a Markdown section."""

from __future__ import annotations

import datetime

from bench.load import Load
from bench.machine import machine, versions
from bench.verify import IN_FLIGHT, VerifyBench

__all__ = ["verify_section"]


def verify_section(bench: VerifyBench, command: str) -> str:
    """The section of RESULTS.md that `python -m bench verify` writes."""
    lines = [
        f"## verify: {bench.network}, {bench.threads} threads",
        "",
        f"{datetime.date.today().isoformat()}, `{command}`.",
        f"Machine: {machine()}.",
        f"Versions: {versions()}.",
        "",
        "Every stage and every loop has the same thread budget; figures are medians over the",
        "rounds. A verification is two embeddings. One in flight takes turns with the loop, call",
        "by call. Weights are random, which changes no timing.",
        "",
        "| what | per second | p50 ms | p99 ms | against the loop |",
        "|---|---|---|---|---|",
    ]
    lines += [
        _row(f"graph alone, batch {batch} (faces)", load, scale=batch)
        for batch, load in bench.bare.items()
    ]
    for kind in ("embed", "verify"):
        loop = bench.loops[kind]
        lines.append(_row(f"{kind}, loop in one process", loop))
        for in_flight in IN_FLIGHT:
            load = bench.served[kind, in_flight]
            against = f"{load.per_s / loop.per_s:.0%}"
            if in_flight == 1:
                against += f", {load.p50_ms - loop.p50_ms:+.1f} ms"
            lines.append(_row(f"{kind}, gRPC, {in_flight} in flight", load, against))
    gain = f"{bench.merged.per_s / bench.naive.per_s:.1f}x the naive form"
    lines += [
        _row("verify_faces on a small graph, 16 in flight", bench.merged, gain),
        _row("its naive form, 16 in flight", bench.naive),
        "",
    ]
    return "\n".join(lines)


def _row(what: str, load: Load, against: str = "", scale: int = 1) -> str:
    return (
        f"| {what} | {load.per_s * scale:.1f} | {load.p50_ms:.1f} | {load.p99_ms:.1f} | {against} |"
    )
