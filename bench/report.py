# SPDX-License-Identifier: Apache-2.0
"""Figures as a Markdown section."""

from __future__ import annotations

import datetime

from bench.generate import IN_FLIGHT as SAMPLES_IN_FLIGHT
from bench.generate import SCHEDULERS, GenerateBench
from bench.load import Load
from bench.machine import machine, versions
from bench.precision import Precision
from bench.render import BATCHES, RenderBench
from bench.soak import Soak
from bench.verify import IN_FLIGHT, VerifyBench

__all__ = [
    "generate_section",
    "precision_section",
    "provenance",
    "render_section",
    "soak_section",
    "verify_section",
]


def soak_section(soak: Soak, network: str, command: str) -> str:
    """The section of RESULTS.md that `python -m bench soak` writes."""
    lines = [
        f"## soak: {network}",
        "",
        *provenance(command),
        "",
        f"{soak.requests} embeddings, verifications and refusals ({soak.refused} of them), of",
        "JPEGs of 300 to 4000 pixels, 8 in flight. Resident memory in MiB after each tenth; growth",
        "is that of the second half.",
        "",
        "| process | after each tenth of the requests | growth per 1000 requests |",
        "|---|---|---|",
    ]
    for name, samples in soak.rss_mib.items():
        shown = " ".join(f"{mib:.0f}" for mib in samples)
        lines.append(f"| {name} | {shown} | {soak.growth_mib_per_1000(name):+.1f} MiB |")
    return "\n".join([*lines, ""])


def render_section(bench: RenderBench, command: str) -> str:
    """The section of RESULTS.md that `python -m bench render` writes."""
    heads = [f"batch of {count}" if count > 1 else "one head" for count in BATCHES]
    lines = [
        f"## render: a head of {bench.triangles} triangles, one core",
        "",
        *provenance(command),
        "",
        f"Milliseconds per head, from {bench.vertices} vertices to images in memory, on one",
        f"pinned core; the best of {bench.rounds} rounds in turns, because the machine is shared.",
        "numpy is the same work as array arithmetic (`bench/numpy_renderer.py`); the last column",
        "is the share of pixels on which both agree to 1/255.",
        "",
        f"| what | {' | '.join(heads)} | numpy | faster than numpy | agree |",
        "|---|---|---|---|---|---|",
    ]
    for what, numpy_ms in bench.numpy_ms.items():
        ours = [bench.ours_ms[what, count] for count in BATCHES]
        shown = " | ".join(f"{ms:.2f}" for ms in ours)
        gain = f"{numpy_ms / ours[0]:.0f}x"
        lines.append(
            f"| {what} | {shown} | {numpy_ms:.1f} | {gain} | {bench.agreement[what]:.3%} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"A renderer starts in {bench.compile_s:.1f} s where its kernels must be compiled, and",
            f"in {bench.start_s:.2f} s from then on.",
            "",
        ]
    )


def precision_section(bench: dict[str, Precision], threads: int, command: str) -> str:
    """The section of RESULTS.md that `python -m bench precision` writes."""
    base = bench["fp32"]
    lines = [
        f"## precision: the starter recogniser, {threads} threads",
        "",
        *provenance(command),
        "",
        "The bare graph in onnxruntime, taking turns; medians in milliseconds a face. Cosines are",
        "those with fp32's embeddings, of crops that int8 was not calibrated on.",
        "",
        "| graph | file | batch of 1 | batch of 8 | against fp32 | mean cosine | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, graph in bench.items():
        one, eight = (graph.ms[batch] for batch in (1, 8))
        against = f"{one / base.ms[1]:.2f}x, {eight / base.ms[8]:.2f}x the time"
        lines.append(
            f"| {name} | {graph.megabytes:.1f} MB | {one:.2f} | {eight:.2f} | {against} | "
            f"{graph.mean_cosine:.6f} | {graph.min_cosine:.6f} |"
        )
    return "\n".join([*lines, ""])


def generate_section(bench: GenerateBench, command: str) -> str:
    """The section of RESULTS.md that `python -m bench generate` writes."""
    heads = [f"{n} in flight" for n in SAMPLES_IN_FLIGHT]
    loops = [bench.loops[n] for n in SAMPLES_IN_FLIGHT]
    lines = [
        f"## generate: the narrow denoiser with random weights, {bench.threads} threads",
        "",
        *provenance(command),
        "",
        f"Guided samples of {bench.steps} DDIM steps each, two rows of the graph per step; steps",
        "of a sample per second, medians over the rounds. The loop calls onnxruntime on as many",
        "rows that are already there, and does nothing else. All three schedulers give a seed "
        f"{'the same latent' if bench.agree else 'DIFFERENT latents'}.",
        "",
        f"| | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
        f"| tight loop | {' | '.join(f'{rate:.1f}' for rate in loops)} |",
    ]
    for name in SCHEDULERS:
        rates = [bench.served[name, n] for n in SAMPLES_IN_FLIGHT]
        shown = [f"{r:.1f} ({r / loop:.0%})" for r, loop in zip(rates, loops, strict=True)]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def provenance(command: str) -> list[str]:
    """When, where and with what a section was made."""
    return [
        f"{datetime.date.today().isoformat()}, `{command}`.",
        f"Machine: {machine()}.",
        f"Versions: {versions()}.",
    ]


def verify_section(bench: VerifyBench, command: str) -> str:
    """The section of RESULTS.md that `python -m bench verify` writes."""
    lines = [
        f"## verify: {bench.network}, {bench.threads} threads",
        "",
        *provenance(command),
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
