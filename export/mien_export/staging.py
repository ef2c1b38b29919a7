# SPDX-License-Identifier: Apache-2.0
"""A directory that is replaced whole or not at all.

Everything is built in ``.<name>.staging-<pid>-<random>`` beside the target and then exchanged with
it in one system call. Whoever looks at the target sees the old repository or the new one.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mien_export.errors import TargetError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What renameat2 answers where the kernel or the file system does not know the flag.
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


@contextmanager
def staged(target: Path, on_wait: Callable[[], None]) -> Iterator[Path]:
    """Hold the builders' lock of a target and give a fresh directory beside it.

    The directory is removed at the end, whatever happens; so are those of builders that died.

    Args:
        target: the directory that will be replaced.
        on_wait: called once when another builder holds the lock; then this one waits.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target, on_wait), _termination_as_exception():
        _recover(target)
        # Not mkdtemp: its mode 0700 would become the repository's.
        staging = _sibling(target, f"staging-{os.getpid()}-{secrets.token_hex(4)}")
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def publish(
    staging: Path, target: Path, exchange: Callable[[Path, Path], bool] | None = None
) -> None:
    """Put the staged directory in the target's place; the old one ends in the staging place.

    Args:
        staging: the complete new directory.
        target: its place; absent, empty, or an older build.
        exchange: swaps two directories atomically and says whether it could.

    Raises:
        TargetError: the target cannot be renamed, for instance because it is a mount point.
    """
    _flush(staging)
    try:
        if not target.is_dir() or not any(target.iterdir()):
            staging.rename(target)
        elif not (exchange or _exchange)(staging, target):
            # Two renames: for a moment there is no target. _recover puts the old one back
            # should this process die right here.
            previous = _sibling(target, "previous")
            target.rename(previous)
            try:
                staging.rename(target)
            except OSError:
                previous.rename(target)
                raise
            previous.rename(staging)
        _flush_directory(target.parent)
    except OSError as error:
        raise TargetError(
            f"{target} cannot be replaced: {error.strerror}. A mount point cannot be renamed; "
            "give a directory inside it."
        ) from error


def link_or_copy(source: Path, destination: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot link."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)


def _sibling(target: Path, suffix: str) -> Path:
    return target.parent / f".{target.name}.{suffix}"


@contextmanager
def _locked(target: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with _sibling(target, "lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _recover(target: Path) -> None:
    """Clean up after dead builders. Under the lock, no other builder of this target lives."""
    previous = _sibling(target, "previous")
    if previous.is_dir() and not target.exists():
        previous.rename(target)
    prefix = _sibling(target, "staging-").name
    for entry in target.parent.iterdir():
        if entry == previous or entry.name.startswith(prefix):
            shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def _termination_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind like SIGINT does, so that the staging directory goes."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _exchange(a: Path, b: Path) -> bool:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:  # musl, old glibc
        return False
    if renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_SUPPORTED:
        return False
    raise OSError(code, os.strerror(code))


def _flush(directory: Path) -> None:
    """Bring a tree to the disk, so that a power cut cannot leave names without contents."""
    for root, _, files in os.walk(directory):
        for name in files:
            descriptor = os.open(Path(root) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _flush_directory(Path(root))


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
