# SPDX-License-Identifier: Apache-2.0
"""`python -m bench SUITE`, such as verify, soak or morphface: argument parsing."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from bench.avatars.quality import add_arguments as add_quality_arguments
from bench.avatars.quality import run_avatar_quality
from bench.avatars.speed import run_avatar_bench
from bench.avatars.speed_report import speed_section
from bench.gallery import gallery_section, run_gallery_bench
from bench.generate import run_generate_bench
from bench.morphface.command import add_arguments as add_morphface_arguments
from bench.morphface.command import run_morphface_bench
from bench.morphface.sampling_command import add_arguments as add_sampling_arguments
from bench.morphface.sampling_command import run_sampling_bench
from bench.precision import run_precision_bench
from bench.render import run_render_bench
from bench.report import (
    generate_section,
    precision_section,
    render_section,
    soak_section,
    verify_section,
)
from bench.soak import run_soak
from bench.verify import run_verify_bench

Suite = Callable[[argparse.Namespace, str, Console], str]


def main() -> int:
    """Measure, print, and add to a file if asked."""
    arguments = _parser().parse_args()
    console = Console(highlight=False)
    command = shlex.join(["python", "-m", "bench", *_without_append(sys.argv[1:])])
    section = arguments.run(arguments, command, console)
    console.print(Markdown(section))
    if arguments.append:
        with arguments.append.open("a") as file:
            file.write(f"\n{section}")
    return 0


def _verify(arguments: argparse.Namespace, command: str, console: Console) -> str:
    bench = run_verify_bench(
        arguments.network, rounds=arguments.rounds, seconds=arguments.seconds, console=console
    )
    return verify_section(bench, command)


def _soak(arguments: argparse.Namespace, command: str, console: Console) -> str:
    soak = run_soak(arguments.network, requests=arguments.requests, console=console)
    return soak_section(soak, arguments.network, command)


def _render(arguments: argparse.Namespace, command: str, console: Console) -> str:
    return render_section(run_render_bench(rounds=arguments.rounds, console=console), command)


def _precision(arguments: argparse.Namespace, command: str, console: Console) -> str:
    threads = len(os.sched_getaffinity(0))
    bench = run_precision_bench(
        arguments.crops, rounds=arguments.rounds, threads=threads, console=console
    )
    return precision_section(bench, threads, command)


def _generate(arguments: argparse.Namespace, command: str, console: Console) -> str:
    bench = run_generate_bench(steps=arguments.steps, rounds=arguments.rounds, console=console)
    return generate_section(bench, command)


def _gallery(arguments: argparse.Namespace, command: str, console: Console) -> str:
    bench = run_gallery_bench(
        templates=arguments.templates, probes=arguments.probes, console=console
    )
    return gallery_section(bench, command)


def _avatar(arguments: argparse.Namespace, command: str, console: Console) -> str:
    bench = run_avatar_bench(
        arguments.repository, rounds=arguments.rounds, seconds=arguments.seconds, console=console
    )
    return speed_section(bench, command)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--append", type=Path, metavar="FILE", help="add the section to this file")
    parser = argparse.ArgumentParser(prog="python -m bench")
    suites = parser.add_subparsers(required=True, metavar="SUITE")
    verify = suites.add_parser("verify", parents=[common], help="speed against loops")
    verify.add_argument("--network", default="iresnet50", help="(default: %(default)s)")
    verify.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    verify.add_argument("--seconds", type=float, default=6, help="per figure and round")
    verify.set_defaults(run=_verify)
    soak = suites.add_parser("soak", parents=[common], help="memory under mixed traffic")
    soak.add_argument("--network", default="iresnet18", help="(default: %(default)s)")
    soak.add_argument("--requests", type=int, default=5000, help="(default: %(default)s)")
    soak.set_defaults(run=_soak)
    render = suites.add_parser("render", parents=[common], help="heads on one core against numpy")
    render.add_argument("--rounds", type=int, default=40, help="(default: %(default)s)")
    render.set_defaults(run=_render)
    precision = suites.add_parser(
        "precision", parents=[common], help="the starter recogniser in fp32, fp16 and int8"
    )
    precision.add_argument("--crops", type=Path, required=True, metavar="FILE.npz")
    precision.add_argument("--rounds", type=int, default=200, help="(default: %(default)s)")
    precision.set_defaults(run=_precision)
    generate = suites.add_parser(
        "generate", parents=[common], help="denoising steps that requests share"
    )
    generate.add_argument("--steps", type=int, default=50, help="(default: %(default)s)")
    generate.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    generate.set_defaults(run=_generate)
    morphface = suites.add_parser(
        "morphface", parents=[common], help="MorphFace's table 4 on people of our own"
    )
    add_morphface_arguments(morphface)
    morphface.set_defaults(run=run_morphface_bench)
    sampling = suites.add_parser(
        "sampling", parents=[common], help="what solvers and precisions do to finished faces"
    )
    add_sampling_arguments(sampling)
    sampling.set_defaults(run=run_sampling_bench)
    avatar = suites.add_parser("avatar", parents=[common], help="speed of avatars against a loop")
    avatar.add_argument("--repository", type=Path, metavar="DIR", help="(default the starter's)")
    avatar.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    avatar.add_argument("--seconds", type=float, default=15, help="per figure and round")
    avatar.set_defaults(run=_avatar)
    gallery = suites.add_parser(
        "gallery", parents=[common], help="searching a gallery against numpy"
    )
    gallery.add_argument("--templates", type=int, default=100_000, help="(default: %(default)s)")
    gallery.add_argument("--probes", type=int, default=1000, help="(default: %(default)s)")
    gallery.set_defaults(run=_gallery)
    quality = suites.add_parser(
        "avatar_quality", parents=[common], help="tables 4.1 and 4.2 on people of our own"
    )
    add_quality_arguments(quality)
    quality.set_defaults(run=run_avatar_quality)
    return parser


def _without_append(words: list[str]) -> list[str]:
    if "--append" not in words:
        return words
    at = words.index("--append")
    return words[:at] + words[at + 2 :]


if __name__ == "__main__":
    sys.exit(main())
