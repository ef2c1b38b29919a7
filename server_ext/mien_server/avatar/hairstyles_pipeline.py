# SPDX-License-Identifier: Apache-2.0
"""The pipeline `hairstyles` on arrays: which there are, what they look like, one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.generation.options import OptionReader
from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import HairstyleEntry
from mien_server.hair.strand_picture import strand_picture_png

__all__ = ["Operation", "hairstyles_answer"]

Array = NDArray[Any]


class Operation(Enum):
    """What is to be done."""

    LIST = "list"
    PREVIEW = "preview"
    ADD = "add"
    REMOVE = "remove"


def hairstyles_answer(library: HairstyleLibrary, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Answer one request.

    Args:
        library: of hairstyles.
        inputs: by name; what was left out is missing.

    Raises:
        ServingError: INVALID_OPTION or INVALID_TENSOR: what came and what is allowed.
    """
    read = OptionReader(inputs)
    operation = read.choice("operation", Operation.LIST)
    if operation is Operation.LIST:
        return _answer(library, library.entries())
    name = _needed(read, "name", operation)
    if operation is Operation.PREVIEW:
        return _answer(library, (library.entry(name),), _preview(library, name))
    if operation is Operation.REMOVE:
        entry = library.entry(name)
        answer = _answer(library, (entry,))
        library.remove(name)
        return answer
    if "file" not in inputs:
        raise _missing("file", operation)
    entry = library.add(
        name,
        _needed(read, "title", operation),
        bytes(inputs["file"].ravel().tolist()[0]),
        licence=_needed(read, "licence", operation),
        author=_needed(read, "author", operation),
    )
    return _answer(library, (entry,), _preview(library, name))


def _preview(library: HairstyleLibrary, name: str) -> bytes:
    shipped = library.thumbnail(name)
    if shipped is not None:
        return shipped
    return strand_picture_png(library.hairstyle(name).strands, library.head)


def _answer(
    library: HairstyleLibrary, entries: tuple[HairstyleEntry, ...], preview: bytes = b""
) -> dict[str, Array]:
    texts = np.empty(len(entries), object)
    texts[:] = [json.dumps(_facts(library, entry)).encode() for entry in entries]
    return {"entries": texts, "preview": np.array([preview], object)}


def _facts(library: HairstyleLibrary, entry: HairstyleEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "strands": entry.strands,
        "length_cm": entry.length_cm,
        "licence": entry.licence,
        "author": entry.origin,
        "is_own": library.is_own(entry.name),
    }


def _needed(read: OptionReader, name: str, operation: Operation) -> str:
    text = read.text(name)
    if text is None:
        raise _missing(name, operation)
    return text


def _missing(name: str, operation: Operation) -> ServingError:
    return ServingError(
        "INVALID_OPTION", f"operation is {operation.value!r} and there is no input {name}; send it"
    )
