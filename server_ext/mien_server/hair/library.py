# SPDX-License-Identifier: Apache-2.0
"""The hairstyles there are: those that are shipped, and those that a user added.

Two folders, each with an `index.json` and the files that it names. Nothing is read before it is
asked for, and nothing is used whose digest is not the one in the index.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.hair.head import Head
from mien_server.hair.library_index import NAME, HairstyleEntry, read_index
from mien_server.hair.own_styles import OwnStyles, name_taken
from mien_server.hair.placing import placed, root_misfit
from mien_server.hair.polylines import lengths
from mien_server.hair.strand_files import read_strand_file
from mien_server.hair.strand_formats import refusal
from mien_server.hair.strand_picture import strand_picture_png
from mien_server.hair.strands import Strands
from mien_server.hair.style_files import StyleFile, style_file_bytes, style_from_bytes

__all__ = ["Hairstyle", "HairstyleLibrary"]

MAX_TEXT = 200
# What avatars wear besides hairstyles by name: nothing, and what the photograph shows.
RESERVED = ("none", "own")
MAX_MISFIT_M = 0.015
_KEPT_READ = 8  # styles, about a megabyte each


@dataclass(frozen=True, slots=True, eq=False)
class Hairstyle:
    """A hairstyle, in the frame of the library's head.

    Attributes:
        entry: what the index says.
        strands: S of them.
        cells: (S,) int16 cells of the scalp grid; None where it is on no grid.
        is_own: a user added it.
    """

    entry: HairstyleEntry
    strands: Strands
    cells: NDArray[np.int16] | None
    is_own: bool


class HairstyleLibrary:
    """Hairstyles by name. Safe to use from several threads, and several processes.

    Args:
        shipped: the folder that comes with mien; it is only read.
        own: the user's; made when the first style is added. None: nothing can be added.
        head: the starter's mean head, whose frame hairstyles are in.

    Raises:
        ValueError: an index is there and damaged.
    """

    def __init__(self, shipped: Path, own: Path | None, head: Head) -> None:
        self._shipped = shipped
        self._own = None if own is None else OwnStyles(own)
        self._head = head
        self._shipped_entries = {entry.name: entry for entry in read_index(shipped)}
        self._read: dict[str, StyleFile] = {}  # by digest, the last used one last
        self._guard = threading.Lock()
        self._own_entries()

    @property
    def head(self) -> Head:
        """The head that all hairstyles are made on."""
        return self._head

    def entries(self) -> tuple[HairstyleEntry, ...]:
        """All of them: the shipped ones in their order, then the user's in theirs."""
        own = self._own_entries()
        return (*self._shipped_entries.values(), *own.values())

    def is_own(self, name: str) -> bool:
        """Whether a style of this name would be one that a user added."""
        return name not in self._shipped_entries

    def entry(self, name: str) -> HairstyleEntry:
        """What there is to know of a style without reading it.

        Raises:
            ServingError: INVALID_OPTION, there is none of this name.
        """
        return self._find(name)[1]

    def hairstyle(self, name: str) -> Hairstyle:
        """A style with its strands.

        Raises:
            ServingError: INVALID_OPTION, there is none of this name.
            ValueError: its file is missing or damaged.
        """
        folder, entry = self._find(name)
        with self._guard:
            style = self._read.pop(entry.sha256, None)
            if style is not None:
                self._read[entry.sha256] = style
        if style is None:
            style = self._load(folder, entry)
            with self._guard:
                self._read[entry.sha256] = style
                while len(self._read) > _KEPT_READ:
                    del self._read[next(iter(self._read))]
        return Hairstyle(entry, style.strands, style.cells, self.is_own(name))

    def thumbnail(self, name: str) -> bytes | None:
        """The image file that shows a style; None where it has none.

        Raises:
            ServingError: INVALID_OPTION, there is none of this name.
            ValueError: the file that the index names is missing.
        """
        folder, entry = self._find(name)
        return self._bytes(folder, entry, entry.thumbnail) if entry.thumbnail else None

    def add(
        self,
        name: str,
        title: str,
        content: bytes,
        *,
        licence: str,
        author: str,
        file_name: str = "",
        max_strands: int = 1024,
    ) -> HairstyleEntry:
        """Keep a user's strand file as a hairstyle.

        Its strands are brought to the library's head, wherever they were, and a picture is made.

        Args:
            name: 1 to 40 of a to z, 0 to 9 and _; none that there is.
            title: for people, up to 200 characters.
            content: a `.convdata` or `.data` file.
            licence: under which it may be used, such as "CC-BY-4.0" or "private".
            author: whose it is.
            file_name: of the content; see `strand_files.read_strand_file`.
            max_strands: that are kept of it.

        Raises:
            ServingError: INVALID_OPTION about the name or a text, INVALID_TENSOR about the content.
        """
        own = self._changeable()
        texts = {"title": title, "licence": licence, "author": author}
        self._check_free(name)
        for what, text in texts.items():
            _check_text(what, text)
        read = read_strand_file(content, file_name, max_strands=max_strands)
        misfit = root_misfit(read.strands, self._head)
        if misfit > MAX_MISFIT_M:
            raise refusal(
                f"its roots lie {100 * misfit:.1f} cm off any scalp in the median, at most "
                f"{100 * MAX_MISFIT_M:g} are allowed; the first point of each strand must be its "
                "root, y must be up, and z to the face"
            )
        strands = placed(read.strands, self._head)
        picture = strand_picture_png(strands, self._head)
        style = style_file_bytes(strands)
        digest = hashlib.sha256(style).hexdigest()
        file, thumbnail = own.file_names(name, digest)
        long = float(np.quantile(lengths(strands.points), 0.9))
        entry = HairstyleEntry(
            name,
            title.strip(),
            file,
            digest,
            thumbnail,
            len(strands),
            round(100 * long, 1),
            licence.strip(),
            author.strip(),
        )
        own.add(entry, style, picture)
        return entry

    def remove(self, name: str) -> None:
        """Forget a hairstyle that a user added.

        Raises:
            ServingError: INVALID_OPTION, it is shipped, or there is none of this name.
        """
        own = self._changeable()
        if name in self._shipped_entries:
            raise ServingError(
                "INVALID_OPTION", f"hairstyle {name!r} is shipped with mien and stays"
            )
        if not own.remove(name):
            raise self._unknown(name)

    def _own_entries(self) -> dict[str, HairstyleEntry]:
        """Those of the user's that no shipped one hides."""
        entries = {} if self._own is None else self._own.entries()
        return {name: entry for name, entry in entries.items() if name not in self._shipped_entries}

    def _find(self, name: str) -> tuple[Path, HairstyleEntry]:
        if name in self._shipped_entries:
            return self._shipped, self._shipped_entries[name]
        entry = self._own_entries().get(name)
        if entry is None or self._own is None:
            raise self._unknown(name)
        return self._own.folder, entry

    def _load(self, folder: Path, entry: HairstyleEntry) -> StyleFile:
        content = self._bytes(folder, entry, entry.file)
        where = folder / entry.file
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise ValueError(f"{where} is not the file of the index; restore it, or add it again")
        try:
            style = style_from_bytes(content)
        except ValueError as error:
            raise ValueError(f"{where} is damaged: {error}") from error
        if len(style.strands) != entry.strands:
            raise ValueError(
                f"{where} has {len(style.strands)} strands; the index says {entry.strands}"
            )
        return style

    def _bytes(self, folder: Path, entry: HairstyleEntry, file: str) -> bytes:
        try:
            return (folder / file).read_bytes()
        except OSError as error:
            if folder != self._shipped and entry.name not in self._own_entries():
                raise self._unknown(entry.name) from None  # removed just now
            raise ValueError(f"{folder / file} cannot be read: {error.strerror}") from error

    def _changeable(self) -> OwnStyles:
        if self._own is None:
            raise ServingError(
                "INVALID_OPTION", "this library has no folder of your own; start mien with one"
            )
        return self._own

    def _check_free(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise ServingError(
                "INVALID_OPTION",
                f"the hairstyle's name is {name!r:.60}; it must be 1 to 40 of a to z, 0 to 9 and _",
            )
        if name in RESERVED:
            raise ServingError(
                "INVALID_OPTION",
                f"the hairstyle's name is {name!r}, which has a meaning of its own where a "
                "hairstyle is asked for; choose another",
            )
        if name in self._shipped_entries or name in self._own_entries():
            raise name_taken(name)

    def _unknown(self, name: str) -> ServingError:
        names = [entry.name for entry in self.entries()]
        shown = ", ".join(names[:40]) + (" ..." if len(names) > 40 else "")
        return ServingError(
            "INVALID_OPTION", f"hairstyle is {name!r:.60}; it must be one of {shown or 'none'}"
        )


def _check_text(what: str, text: str) -> None:
    if not 1 <= len(text.strip()) <= MAX_TEXT or not text.strip().isprintable():
        raise ServingError(
            "INVALID_OPTION",
            f"the {what} is {text!r:.60}; it must be 1 to {MAX_TEXT} printable characters",
        )
