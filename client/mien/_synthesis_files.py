# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or not there, whenever the process ends, and words for what a disk says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mien._errors import DataSetError

__all__ = ["disk_errors_explained", "partial_path", "remove_partials", "sync_folder", "write_whole"]


def partial_path(folder: Path, name: str) -> Path:
    """Where a file of `folder` stands before it is whole: hidden, in that folder."""
    return folder / f".{name}.partial"


def remove_partials(folder: Path) -> None:
    """Remove what runs that were killed have left."""
    for path in folder.glob(".*.partial"):
        path.unlink(missing_ok=True)


def write_whole(folder: Path, target: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have `write` write a file that appears as `target` once it is whole and on the disk.

    Args:
        folder: of the set, in which the file stands before that.
        target: where it appears, in place of what was there.
        write: is given the open file.

    Raises:
        OSError: it cannot be written; what was at `target` is still there.
    """
    partial = partial_path(folder, target.name)
    try:
        with partial.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    except OSError:
        with contextlib.suppress(OSError):  # room for others on a full disk
            partial.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors_explained(folder: Path) -> Iterator[None]:
    """Say of an OSError what to do about it.

    Raises:
        DataSetError: in its place.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or str(folder)
        raise DataSetError(
            f"the set in {str(folder)!r} cannot be read or written: {where}: {error.strerror}. "
            "Free space or allow writing there, and give the same command again: shards that are "
            "complete stay"
        ) from error
