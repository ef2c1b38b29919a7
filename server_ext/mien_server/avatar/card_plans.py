# SPDX-License-Identifier: Apache-2.0
"""Plans of hair cards, worked out once on a machine.

A plan depends on the strands and the number of triangles alone, and takes longer than all the rest
of a hairstyle on a head. It is kept below `$MIEN_CACHE_PATH`, or else below the user's cache folder
(`~/.cache/mien`), as a file whose name says what it is a plan of and by which code. Where nothing
can be written, every process makes its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from mien_server.hair import card_plan, knots, more_strands
from mien_server.hair.card_plan import CardPlan, plan_cards
from mien_server.hair.library_index import write_whole
from mien_server.hair.strands import Strands

__all__ = ["CACHE_VARIABLE", "CardPlans", "plans_folder"]

CACHE_VARIABLE = "MIEN_CACHE_PATH"
FOLDER, LOCK = "card_plans", ".lock"


def plans_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where plans are kept; None where the user has no home and names no folder."""
    named = environment.get(CACHE_VARIABLE)
    if named:
        return Path(named) / FOLDER
    try:
        caches = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(caches) / "mien" / FOLDER


class CardPlans:
    """Plans by style and size. Safe to use from several threads and processes.

    Args:
        folder: where they are kept, made with the first one; None: nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def plan(self, digest: str, strands: Strands, max_triangles: int) -> CardPlan:
        """The plan of a style, read or made.

        Args:
            digest: of the style's file.
            strands: of the style.
            max_triangles: of all cards together.
        """
        path = self._path(digest, max_triangles)
        kept = None if path is None else _read(path, len(strands))
        if kept is not None:
            return kept
        made = plan_cards(strands, max_triangles)
        if path is not None:
            _write(path, made)
        return made

    def has(self, digest: str, max_triangles: int) -> bool:
        """Whether `plan` need not make it."""
        path = self._path(digest, max_triangles)
        return path is not None and path.is_file()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold off others that take turns too, so that no two make the same plan.

        Yields:
            False where somebody else has the turn; nobody waits.
        """
        lock = self._lock_file()
        if lock is None:
            yield True
            return
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _lock_file(self) -> IO[str] | None:
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return (self._folder / LOCK).open("a")
        except OSError:
            return None

    def _path(self, digest: str, max_triangles: int) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{digest[:32]}-{max_triangles}-{_code_digest()[:12]}.npz"


@cache
def _code_digest() -> str:
    """Of what makes plans: those of another release are not for this one."""
    digest = hashlib.sha256()
    for module in (card_plan, knots, more_strands):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _read(path: Path, strands: int) -> CardPlan | None:
    """None where there is none, or one that was damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            values: dict[str, Any] = {part.name: arrays[part.name] for part in fields(CardPlan)}
        for name in ("strands", "seed"):
            values[name] = int(values[name])
        plan = CardPlan(**values)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    return plan if len(plan.neighbours) == strands else None


def _write(path: Path, plan: CardPlan) -> None:
    """Keep a plan, if that is possible; the next process makes it again otherwise."""
    file = io.BytesIO()
    np.savez_compressed(file, **{part.name: getattr(plan, part.name) for part in fields(CardPlan)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, file.getvalue())
    except OSError:
        pass
