# SPDX-License-Identifier: Apache-2.0
"""A folder of hairstyles that a user may change.

The index alone says what there is: a style is there as soon as the new index has the old one's
place. A process that dies before or after leaves at most files that nobody asks for; the next
change sweeps them up. Threads and processes that change the folder wait for each other; who reads
does not wait.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien_server.errors import ServingError
from mien_server.hair.library_index import (
    TEMPORARY,
    HairstyleEntry,
    read_index,
    write_index,
    write_whole,
)

__all__ = ["HAIRSTYLES_VARIABLE", "OwnStyles"]

# In the environment of a server: the folder.
HAIRSTYLES_VARIABLE = "MIEN_HAIRSTYLES"

MAX_STYLES = 500
_LOCK = ".lock"
# Names that only this module gives; whatever else lies in the folder is not its own to delete.
_MADE_HERE = re.compile(
    rf"[a-z0-9_]{{1,40}}-[0-9a-f]{{12}}\.(npz|png)|{re.escape(TEMPORARY)}[0-9a-f]{{16}}"
)


class OwnStyles:
    """A user's hairstyles.

    Args:
        folder: made with the first style.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> dict[str, HairstyleEntry]:
        """By name, in the order in which they were added.

        Raises:
            ValueError: the index is there and damaged.
        """
        return {entry.name: entry for entry in read_index(self.folder)}

    def file_names(self, name: str, digest: str) -> tuple[str, str]:
        """How the strands and the picture of a style are to be called."""
        return f"{name}-{digest[:12]}.npz", f"{name}-{digest[:12]}.png"

    def add(self, entry: HairstyleEntry, style: bytes, picture: bytes) -> None:
        """Keep a style.

        Args:
            entry: with `file_names`.
            style: content of its file.
            picture: content of its thumbnail.

        Raises:
            ServingError: INVALID_OPTION, the name is taken or the folder is full.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._changing() as entries:
            if any(other.name == entry.name for other in entries):
                raise name_taken(entry.name)
            if len(entries) >= MAX_STYLES:
                raise ServingError(
                    "INVALID_OPTION",
                    f"there are {len(entries)} hairstyles of yours, as many as are allowed; remove "
                    "one",
                )
            write_whole(self.folder / entry.thumbnail, picture)
            write_whole(self.folder / entry.file, style)
            write_index(self.folder, (*entries, entry))

    def remove(self, name: str) -> bool:
        """Forget a style; false where there is none.

        Raises:
            OSError: the folder cannot be written.
        """
        if not self.folder.is_dir():
            return False
        with self._changing() as entries:
            left = tuple(entry for entry in entries if entry.name != name)
            if len(left) < len(entries):
                write_index(self.folder, left)
            return len(left) < len(entries)

    @contextmanager
    def _changing(self) -> Iterator[tuple[HairstyleEntry, ...]]:
        """Hold the folder against other writers, and sweep up when the change is made."""
        with (self.folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield read_index(self.folder)
            entries = read_index(self.folder)
            named = {file for entry in entries for file in (entry.file, entry.thumbnail)}
            for path in self.folder.iterdir():
                if _MADE_HERE.fullmatch(path.name) and path.name not in named:
                    path.unlink(missing_ok=True)


def name_taken(name: str) -> ServingError:
    """The refusal of a name that another style has."""
    return ServingError(
        "INVALID_OPTION",
        f"there is a hairstyle {name!r} already; choose another name, or remove it first if it is "
        "yours",
    )
