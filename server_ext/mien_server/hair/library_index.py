# SPDX-License-Identifier: Apache-2.0
"""`index.json` of a folder of hairstyles, and files that are replaced whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["INDEX", "NAME", "HairstyleEntry", "read_index", "write_index", "write_whole"]

INDEX = "index.json"
VERSION = 1
NAME = re.compile(r"[a-z0-9_]{1,40}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")  # in the folder itself, not hidden
_DIGEST = re.compile(r"[0-9a-f]{64}")
TEMPORARY = ".part-"


@dataclass(frozen=True, slots=True)
class HairstyleEntry:
    """What the index says of a hairstyle.

    Attributes:
        name: by which it is asked for: 1 to 40 of a to z, 0 to 9 and _.
        title: for people.
        file: of `style_files`, in the folder of the index.
        sha256: of that file.
        thumbnail: an image beside it; "" where there is none.
        strands: how many.
        length_cm: of long strands: nine of ten are shorter.
        licence: under which it may be used.
        origin: who made it, or how.
    """

    name: str
    title: str
    file: str
    sha256: str
    thumbnail: str
    strands: int
    length_cm: float
    licence: str
    origin: str


def read_index(folder: Path) -> tuple[HairstyleEntry, ...]:
    """Entries of a folder, in its order; none where it has no index.

    Raises:
        ValueError: the index is there and cannot be used.
    """
    path = folder / INDEX
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise ValueError(f"it is no index of version {VERSION}")
        entries = tuple(_entry(item) for item in document["styles"])
        names = [entry.name for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("it names a style twice")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}; restore it, or move it away") from error
    return entries


def write_index(folder: Path, entries: tuple[HairstyleEntry, ...]) -> None:
    """Replace the index; whoever reads it sees the old one or the new one."""
    document = {"version": VERSION, "styles": [asdict(entry) for entry in entries]}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / INDEX, text.encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under its name only once all of it is on the disk."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(item: Any) -> HairstyleEntry:
    """Keys that are not known are left alone: a newer index may have them."""
    if not isinstance(item, dict):
        raise TypeError(f"a style is {item!r:.60}")
    values: dict[str, Any] = {f.name: item.get(f.name) for f in fields(HairstyleEntry)}
    for field in ("name", "title", "file", "sha256", "thumbnail", "licence", "origin"):
        if not isinstance(values[field], str):
            raise TypeError(f"{field} of a style is {values[field]!r:.60}; it must be a text")
    for field, kinds in (("strands", (int,)), ("length_cm", (int, float))):
        value = values[field]
        if not isinstance(value, kinds) or isinstance(value, bool) or not value >= 0:
            raise TypeError(f"{field} of a style is {value!r:.60}; it must be a number from 0 up")
    if not NAME.fullmatch(values["name"]) or not _DIGEST.fullmatch(values["sha256"]):
        raise ValueError(f"a style has the name {values['name']!r:.60}, or a digest that is none")
    for file in filter(None, (values["file"], values["thumbnail"])):
        if not _FILE.fullmatch(file):
            raise ValueError(f"style {values['name']} has the file {file!r:.60}")
    if not values["file"]:
        raise ValueError(f"style {values['name']} has no file")
    return HairstyleEntry(**values)
