# SPDX-License-Identifier: Apache-2.0
"""`python -m bench verify`: argument parsing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from bench.report import verify_section
from bench.verify import run_verify_bench


def main() -> int:
    """Measure, print, and add to a file if asked."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("suite", choices=["verify"])
    parser.add_argument("--network", default="iresnet50", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="per figure and round")
    parser.add_argument("--append", type=Path, metavar="FILE", help="add the section to this file")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    bench = run_verify_bench(
        arguments.network, rounds=arguments.rounds, seconds=arguments.seconds, console=console
    )
    command = f"python -m bench verify --network {arguments.network} --rounds {arguments.rounds}"
    section = verify_section(bench, f"{command} --seconds {arguments.seconds:g}")
    console.print(Markdown(section))
    if arguments.append:
        with arguments.append.open("a") as file:
            file.write(f"\n{section}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
