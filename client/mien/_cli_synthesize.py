# SPDX-License-Identifier: Apache-2.0
"""The command ``mien synthesize``: its options, its progress, and how it ends.

Progress is a line that is drawn anew where stderr is a terminal, and otherwise a line every half
minute; with ``--json`` there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TextIO, get_args

from mien._config import Tls
from mien._generation_requests import BlendingOrder, Solver
from mien._synthesis import IN_FLIGHT, REQUEST_DEADLINE_S, SynthesisResult, synthesize_async
from mien._synthesis_plan import SetFormat
from mien._synthesis_progress import SynthesisProgress

__all__ = ["ProgressLine", "add_synthesize_options", "run_synthesize"]

_BAR_WIDTH = 24
_LINE_WIDTH = 79
_REDRAW_S = 0.2
_LINE_EVERY_S = 30.0
_PLAN_OPTIONS = (
    "identities", "images", "seed", "format", "shard_size", "max_similarity", "solver", "steps",
    "eta", "guidance_weight", "switch_at", "blending_order", "in_flight", "patience_s",
)  # fmt: skip


def add_synthesize_options(command: argparse.ArgumentParser) -> None:
    """Add what only this command knows; what is left out has the default of `synthesize`."""
    command.epilog = (
        "Killed at any moment, or failed, it goes on when the same command is given again. "
        "--deadline is for each request. Exit status: 0 complete, 2 error, 130 after Ctrl-C, "
        "143 after SIGTERM."
    )
    add = command.add_argument
    add("--identities", type=int, metavar="N", required=True, help="people, 1 to 100,000")
    add("--images", type=int, metavar="M", required=True, help="of each, 1 to 10,000")
    add("--out", metavar="DIR", required=True, help="new, empty, or to be gone on with")
    add(
        "--address",
        nargs="+",
        action="extend",
        metavar="HOST:PORT",
        help="servers with the same generator, all at once; default that of --server",
    )
    add("--seed", type=int, metavar="S", help="of the set, default 0")
    add("--format", choices=get_args(SetFormat), help="default folders")
    add("--shard-size", type=int, metavar="K", help="images complete together, default 1000")
    add("--max-similarity", type=float, metavar="X", help="between two people, default 0.3")
    add("--solver", choices=get_args(Solver), help="default dpm_solver_2m")
    add("--steps", type=int, metavar="N", help="of the solver, default 16, or 50 of ddim")
    add("--eta", type=float, metavar="X", help="noise that ddim draws on the way, default 0")
    add("--guidance-weight", type=float, metavar="W", help="0 to 20, default 0.5")
    add("--switch-at", type=int, metavar="T", help="0 to 1000, default 500")
    add("--blending-order", choices=get_args(BlendingOrder), help="default style_first")
    add(
        "--in-flight",
        type=int,
        metavar="P",
        help=f"requests to each server at once, default {IN_FLIGHT}",
    )
    add(
        "--patience",
        dest="patience_s",
        type=float,
        metavar="S",
        help="seconds that no server at all may take a request, default 300",
    )


def run_synthesize(args: argparse.Namespace, *, tls: Tls | None, api_key: str | None) -> int:
    """Make the set.

    Args:
        args: what was given.
        tls: encrypts the connections.
        api_key: sent with every call.

    Returns:
        The exit status.

    Raises:
        MienError: the set is not complete.
    """
    given = {name: getattr(args, name) for name in _PLAN_OPTIONS}
    line = ProgressLine(sys.stderr)
    work = synthesize_async(
        args.out,
        addresses=args.address or [args.server],
        deadline_s=REQUEST_DEADLINE_S if args.deadline is None else args.deadline,
        tls=tls,
        api_key=api_key,
        on_progress=_ignore if args.json else line.show,
        **{name: value for name, value in given.items() if value is not None},
    )
    try:
        result, signum = asyncio.run(_until_signal(work))
    finally:
        line.end()
    if result is None:
        sys.stderr.write("mien: ended early; the same command goes on with the set\n")
        return 128 + signum
    _print_result(result, as_json=args.json)
    return 0


class ProgressLine:
    """Progress for people.

    Args:
        stream: to write to.
        clock: seconds that only move forward.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._next_s = -1.0
        self._has_line = False

    def show(self, progress: SynthesisProgress) -> None:
        """Show it, unless something was shown a moment ago."""
        now_s = self._clock()
        is_last = progress.images_made == progress.num_images
        if now_s < self._next_s and not is_last:
            return
        self._next_s = now_s + (_REDRAW_S if self._is_terminal else _LINE_EVERY_S)
        text = progress_in_words(progress)
        if self._is_terminal:
            self._stream.write(f"\r{text:<{_LINE_WIDTH}.{_LINE_WIDTH}}")
            self._has_line = True
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._has_line:
            self._stream.write("\n")
            self._stream.flush()
            self._has_line = False


def progress_in_words(progress: SynthesisProgress) -> str:
    """A bar, numbers, rate and time left, in at most 79 characters for sets of usual sizes."""
    if progress.identities_found < progress.num_identities:
        done, whole, what = progress.identities_found, progress.num_identities, "identities"
    else:
        done, whole, what = progress.images_made, progress.num_images, "images"
    filled = _BAR_WIDTH * done // whole
    bar = "#" * filled + "-" * (_BAR_WIDTH - filled)
    words = f"[{bar}] {done} of {whole} {what}"
    if what == "images" and progress.images_per_s is not None:
        words += f", {progress.images_per_s:.3g}/s"
    if what == "images" and progress.time_left_s:
        words += f", {_duration_in_words(progress.time_left_s)} left"
    return words


def _duration_in_words(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    if days:
        return f"{days} d {rest_h} h"
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


async def _until_signal(
    work: Coroutine[Any, Any, SynthesisResult],
) -> tuple[SynthesisResult | None, int]:
    """What comes of `work`, or None and the signal that ended it."""
    task = asyncio.ensure_future(work)
    signals: list[int] = []

    def end(signum: int) -> None:
        signals.append(signum)
        task.cancel()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, end, signum)
    try:
        return await task, 0
    except asyncio.CancelledError:
        if not signals:
            raise
        return None, signals[0]


def _print_result(result: SynthesisResult, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f"{json.dumps(result.to_dict())}\n")
        return
    if result.untrained:
        sys.stdout.write("UNTRAINED   the server's weights are random: these images mean nothing\n")
    sys.stdout.write(
        f"set         {result.folder}, complete\n"
        f"images      {result.num_images} of {result.num_identities} identities, "
        f"{result.new_images} of them new\n"
        f"generator   {result.generator}\n"
    )


def _ignore(_: SynthesisProgress) -> None:
    """Whoever reads JSON reads the result."""
