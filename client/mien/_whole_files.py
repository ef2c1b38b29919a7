# SPDX-License-Identifier: Apache-2.0
"""Files that callers ask for by a path: whole or not there, and what their suffixes mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

from mien._avatar_order import AvatarFormat
from mien._errors import InvalidOptionError
from mien._synthesis_files import write_whole

__all__ = ["format_of", "write_file"]


def format_of(path: str | os.PathLike[str]) -> AvatarFormat:
    """The format of an avatar that a path's suffix stands for.

    Raises:
        InvalidOptionError: for none.
    """
    suffix = Path(path).suffix.lower()
    for known in get_args(AvatarFormat):
        if suffix == f".{known}":
            return known  # type: ignore[no-any-return]  # get_args knows no types
    raise InvalidOptionError(
        f"{os.fspath(path)!r} has the suffix {suffix!r}; an avatar is a .glb, a .zip of OBJ, MTL "
        "and PNG, or a .ply of its hair's strands. Pass such a path",
        code="INVALID_OPTION",
    )


def write_file(path: str | os.PathLike[str], content: bytes, what: str) -> None:
    """Write a file that appears once it is whole; what was there before stays until then.

    Raises:
        InvalidOptionError: it cannot be written.
    """
    target = Path(path)
    try:
        write_whole(target.parent, target, lambda stream: stream.write(content))
    except OSError as error:
        raise InvalidOptionError(
            f"{what} {str(target)!r} cannot be written: {error.strerror}. Give the path of a file "
            "in a folder that exists"
        ) from error
