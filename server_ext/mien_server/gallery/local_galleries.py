# SPDX-License-Identifier: Apache-2.0
"""All galleries of one server, below one folder."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from mien_server.gallery.checks import checked_gallery_name
from mien_server.gallery.gallery_file import (
    FILE,
    check_space,
    dropped,
    gallery_exists,
    unknown_gallery,
)
from mien_server.gallery.keys import checked_key
from mien_server.gallery.local import LocalGallery

__all__ = ["LocalGalleries"]


class LocalGalleries:
    """Opens each gallery when it is first asked for, and keeps it open.

    Args:
        folder: made with the first gallery.
        key: 32 bytes; each gallery's own keys follow from it.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder, self._key = folder, checked_key(key)
        self._open: dict[str, LocalGallery] = {}
        self._lock = Lock()

    def names(self) -> tuple[str, ...]:
        """Of the galleries that there are, sorted."""
        return tuple(sorted(path.parent.name for path in self._folder.glob(f"*/{FILE}")))

    def create(self, name: str, space: str) -> LocalGallery:
        """A new gallery.

        Raises:
            ServingError: INVALID_OPTION, GALLERY_EXISTS, GALLERY_LOCKED, GALLERY_UNWRITABLE.
        """
        with self._lock:
            path = self._folder / checked_gallery_name(name)
            if name in self._open:
                raise gallery_exists(name)
            gallery = self._open[name] = LocalGallery.create(path, name, space, self._key)
            return gallery

    def get(self, name: str, space: str) -> LocalGallery:
        """A gallery that is there.

        Raises:
            ServingError: INVALID_OPTION, UNKNOWN_GALLERY, GALLERY_LOCKED, WRONG_GALLERY_KEY,
                WRONG_GALLERY_SPACE, GALLERY_DAMAGED, GALLERY_UNWRITABLE.
        """
        with self._lock:
            path = self._folder / checked_gallery_name(name)
            if name not in self._open:
                self._open[name] = LocalGallery.open(path, name, space, self._key)
            gallery = self._open[name]
        check_space(name, gallery.space, space)
        return gallery

    def drop(self, name: str) -> None:
        """Delete a gallery with everybody in it.

        Raises:
            ServingError: INVALID_OPTION, UNKNOWN_GALLERY, GALLERY_LOCKED, GALLERY_UNWRITABLE.
        """
        with self._lock:
            path = self._folder / checked_gallery_name(name)
            if not (path / FILE).is_file():
                raise unknown_gallery(name)
            if name in self._open:
                self._open.pop(name).close()
            dropped(path)

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
