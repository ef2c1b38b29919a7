# SPDX-License-Identifier: Apache-2.0
"""gRPC's calls where a signal handler may raise in the middle of them, such as that of Ctrl-C.

One that raises while gRPC starts a call, or blocks in one, loses the call and leaves the channel in
a state in which close() waits for ever. So gRPC is entered by another thread, which no handler
reaches, and the thread that might be interrupted waits for its outcome.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["cancel_outcome", "may_be_interrupted", "run_out_of_reach"]

T = TypeVar("T")


def may_be_interrupted() -> bool:
    """Signal handlers run in the main thread, and those that raise interrupt what it does."""
    return threading.current_thread() is threading.main_thread()


def run_out_of_reach(run: Callable[[], T], outcome: Future[T]) -> None:
    """Have `run` called where no signal handler interrupts it; what comes of it is in `outcome`."""

    def thread() -> None:
        try:
            outcome.set_result(run())
        except Exception as error:  # handed over: the thread that waits raises it
            outcome.set_exception(error)

    threading.Thread(target=thread, name="mien-grpc-call", daemon=True).start()


def cancel_outcome(outcome: Future[Any]) -> None:
    """Cancel the call that `outcome` is, or as soon as it is one; one that has ended stays so."""
    outcome.add_done_callback(_cancel)


def _cancel(outcome: Future[Any]) -> None:
    if outcome.exception() is None:
        outcome.result().cancel()
