# SPDX-License-Identifier: Apache-2.0
"""Pieces of work that are done in other processes, each with what it needs made once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any, TypeVar

import cv2

__all__ = ["done_by_workers"]

Piece = TypeVar("Piece")
Work = Callable[[Any], Any]


def done_by_workers(
    make_work: Callable[[], Callable[[Piece], object]],
    pieces: Iterable[Piece],
    processes: int,
) -> Iterator[Piece]:
    """Do every piece, and name each when it is done, in any order.

    Args:
        make_work: called once in every process; picklable. What it gives does one piece.
        pieces: picklable.
        processes: 1 works in this one.
    """
    pieces = list(pieces)
    if not pieces:
        return
    if processes == 1:
        work = make_work()
        for piece in pieces:
            work(piece)
            yield piece
        return
    # A renderer's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (make_work,)) as pool:
        running = {pool.submit(_do, piece) for piece in pieces}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_works: list[Work] = []  # of this process: one, once it has started


def _start(make_work: Callable[[], Work]) -> None:
    cv2.setNumThreads(1)
    _works.append(make_work())


def _do(piece: Piece) -> Piece:
    _works[0](piece)
    return piece
