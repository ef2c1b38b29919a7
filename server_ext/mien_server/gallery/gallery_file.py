# SPDX-License-Identifier: Apache-2.0
"""The folder of one gallery: its lock, its file, and the file that takes its place."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from mien_server.errors import ServingError
from mien_server.gallery.file_head import BLOCK, FileHead, damaged
from mien_server.gallery.record_log import RecordLog, unwritable
from mien_server.gallery.rotation import TEMPLATE_COUNT

__all__ = [
    "FILE",
    "check_space",
    "create_file",
    "dropped",
    "gallery_exists",
    "locked",
    "open_file",
    "rewritten",
    "rows_expected",
    "unknown_gallery",
]

FILE = "templates.log"
_LOCK = ".lock"
_PART = ".part-"
_RECORDS_AT_ONCE = 2000


def locked(folder: Path, *, make: bool = False) -> int:
    """A descriptor that keeps other processes, and other openings here, out until it is closed.

    Args:
        folder: of a gallery.
        make: make it where it is not there.

    Raises:
        ServingError: GALLERY_LOCKED, UNKNOWN_GALLERY, GALLERY_UNWRITABLE.
    """
    try:
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not (folder / FILE).is_file():
            raise unknown_gallery(folder.name)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ServingError(
            "GALLERY_LOCKED",
            f"{folder} is open in another process, or twice in this one; one at a time may have it",
        ) from None
    return descriptor


def create_file(folder: Path, head: FileHead, key: bytes) -> RecordLog:
    """An empty gallery in a folder that has none, which the caller has locked.

    Raises:
        ServingError: GALLERY_EXISTS, GALLERY_UNWRITABLE.
    """
    if (folder / FILE).exists():
        raise gallery_exists(head.gallery)
    return rewritten(folder, head, key, ())


def open_file(
    folder: Path, name: str, space: str, key: bytes, replay: Callable[[bytes], None]
) -> RecordLog:
    """The gallery in a folder, which the caller has locked; what a crash has left is swept up.

    Args:
        folder: of the gallery.
        name: of the gallery.
        space: of the recogniser that is served.
        key: the operator's.
        replay: called with the content of each record.

    Raises:
        ServingError: WRONG_GALLERY_KEY, WRONG_GALLERY_SPACE, GALLERY_DAMAGED, GALLERY_UNWRITABLE.
    """
    path = folder / FILE
    try:
        with path.open("rb") as stream:
            head = FileHead.read(stream.read(BLOCK), key, str(path))
        if head.gallery != name:
            raise damaged(
                str(path), f"it is that of the gallery {head.gallery}, under another name"
            )
        check_space(name, head.space, space)
        log = RecordLog.open(path, key, replay)
    except OSError as error:
        raise ServingError(
            "GALLERY_UNWRITABLE",
            f"{path} cannot be opened for reading and writing ({error.strerror or error}); nothing "
            "was changed. See to the disk and to who may use the file",
        ) from error
    for part in folder.glob(f"{_PART}*"):
        with suppress(OSError):  # the next opening tries again
            part.unlink()
    return log


def rows_expected(folder: Path) -> int:
    """At most so many templates the gallery in a folder has."""
    return (folder / FILE).stat().st_size // (4 * TEMPLATE_COUNT) + 1


def rewritten(folder: Path, head: FileHead, key: bytes, contents: Iterable[bytes]) -> RecordLog:
    """A new file in the place of the one that is there.

    Args:
        folder: of the gallery.
        head: of the new file.
        key: the operator's.
        contents: of its records.

    Returns:
        The file, open. Where the folder's entry of it is not known to be on the disk, it is not
        `sound`.

    Raises:
        ServingError: GALLERY_UNWRITABLE: what was there is as it was.
    """
    path = folder / FILE
    try:
        with _aside(folder) as part:
            log = RecordLog.create(part, head, key)
            try:
                for some in _in_groups(contents):
                    log.append(some)
                part.replace(path)
            except BaseException:
                log.close()
                raise
    except OSError as error:
        raise unwritable(path, error) from error
    log.moved(path)
    try:
        _synchronise(folder)
    except OSError:
        log.sound = False
    return log


def dropped(folder: Path) -> None:
    """Delete a gallery that nobody has open.

    Raises:
        ServingError: UNKNOWN_GALLERY, GALLERY_LOCKED, GALLERY_UNWRITABLE.
    """
    lock = locked(folder)
    try:
        (folder / FILE).unlink()
        _synchronise(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        os.close(lock)


def check_space(name: str, own: str, served: str) -> None:
    """Refuse templates of another recogniser.

    Raises:
        ServingError: WRONG_GALLERY_SPACE.
    """
    if own != served:
        raise ServingError(
            "WRONG_GALLERY_SPACE",
            f"the templates of gallery {name} are by the recogniser {own:.24}, and the one served "
            f"is {served:.24}; their numbers cannot be compared. Serve the former, or enrol "
            "everybody again into another gallery",
        )


def gallery_exists(name: str) -> ServingError:
    """The refusal of a name that a gallery has."""
    return ServingError(
        "GALLERY_EXISTS", f"there is a gallery {name} already; open it, or choose another name"
    )


def unknown_gallery(name: str) -> ServingError:
    """The refusal of a name that no gallery has."""
    return ServingError(
        "UNKNOWN_GALLERY", f"there is no gallery {name}; make it first, or list those there are"
    )


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    part = folder / f"{_PART}{secrets.token_hex(8)}"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _in_groups(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(contents)
    while group := list(islice(left, _RECORDS_AT_ONCE)):
        yield group


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
