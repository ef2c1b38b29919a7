# SPDX-License-Identifier: Apache-2.0
"""The hairstyles that a server has: entries, requests, answers and steps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from mien._errors import ContractError
from mien._flows import Budget, Flow, UntrainedCache, retried, sent_once
from mien._generation_requests import refusal
from mien._requests import HAIRSTYLES_MODEL, Rpc, answered_tensors, infer_rpc
from mien._tensors import Array, TensorSpec

__all__ = [
    "Hairstyle",
    "StrandFile",
    "add_hairstyle_flow",
    "hairstyle_preview_flow",
    "hairstyles_flow",
    "remove_hairstyle_flow",
    "strand_file_bytes",
]

StrandFile: TypeAlias = "str | os.PathLike[str] | bytes"

HAIRSTYLES_INPUTS = tuple(
    TensorSpec(name, "BYTES", (1,), is_batched=False)
    for name in ("operation", "name", "title", "file", "licence", "author")
)
ENTRIES = TensorSpec("entries", "BYTES", (-1,), is_batched=False)
PREVIEW = TensorSpec("preview", "BYTES", (1,), is_batched=False)


@dataclass(frozen=True, slots=True)
class Hairstyle:
    """A hairstyle of the server's library.

    Attributes:
        name: for `avatar` and `Avatar.with_hairstyle`.
        title: for people.
        strands: how many it has.
        length_cm: of its strands, on average.
        licence: under which it may be used.
        author: who made it, or what did.
        is_own: somebody added it, and may remove it; False for those that ship.
    """

    name: str
    title: str
    strands: int
    length_cm: float
    licence: str
    author: str
    is_own: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def hairstyles_flow(budget: Budget, cache: UntrainedCache) -> Flow[tuple[Hairstyle, ...]]:
    """List them."""
    rpc = _rpc(ENTRIES, operation=b"list")
    response = yield from retried(rpc, budget, cache)
    return tuple(_entry(rpc, text) for text in _tensor(rpc, response, ENTRIES).tolist())


def hairstyle_preview_flow(name: str, budget: Budget, cache: UntrainedCache) -> Flow[bytes]:
    """Show one."""
    rpc = _rpc(PREVIEW, operation=b"preview", name=_text("name", name))
    png: bytes = _tensor(rpc, (yield from retried(rpc, budget, cache)), PREVIEW).item()
    return png


def add_hairstyle_flow(content: bytes, texts: Mapping[str, str], budget: Budget) -> Flow[Hairstyle]:
    """Add one.

    Args:
        content: of a strand file.
        texts: its name, title, licence and author.
        budget: time; it is sent once.
    """
    values = {what: _text(what, text) for what, text in texts.items()}
    rpc = _rpc(ENTRIES, operation=b"add", file=content, **values)
    added = _tensor(rpc, (yield from sent_once(rpc, budget)), ENTRIES).tolist()
    if len(added) != 1:
        raise _contract_error(rpc, f"{len(added)} entries came for one that was added")
    return _entry(rpc, added[0])


def remove_hairstyle_flow(name: str, budget: Budget) -> Flow[None]:
    """Remove one."""
    rpc = _rpc(ENTRIES, operation=b"remove", name=_text("name", name))
    _tensor(rpc, (yield from sent_once(rpc, budget)), ENTRIES)


def strand_file_bytes(strands: StrandFile) -> bytes:
    """The bytes of a strand file, from its path or themselves.

    Raises:
        InvalidOptionError: it cannot be read, or is empty.
    """
    if isinstance(strands, bytes):
        content, what = strands, "strand file"
    else:
        what = f"strand file {os.fspath(strands)!r}"
        try:
            content = Path(strands).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise refusal(
                f"{what} cannot be read: {reason}. Pass the path of a readable .convdata or .data "
                "file"
            ) from error
    if not content:
        raise refusal(f"{what} is empty; expected a .convdata or .data file")
    return content


def _rpc(output: TensorSpec, **values: bytes) -> Rpc:
    return infer_rpc(
        HAIRSTYLES_MODEL,
        HAIRSTYLES_INPUTS,
        [values.get(spec.name) for spec in HAIRSTYLES_INPUTS],
        (output,),
    )


def _text(what: str, text: str) -> bytes:
    if not isinstance(text, str) or not text:
        raise refusal(f"{what} of a hairstyle is {text!r}; expected a text, not empty")
    return text.encode()


def _tensor(rpc: Rpc, response: Any, spec: TensorSpec) -> Array:
    return answered_tensors(rpc, response, (spec,), finite=())[spec.name]


def _entry(rpc: Rpc, text: bytes) -> Hairstyle:
    try:
        facts = json.loads(text)
        return Hairstyle(
            name=str(facts["name"]),
            title=str(facts["title"]),
            strands=int(facts["strands"]),
            length_cm=float(facts["length_cm"]),
            licence=str(facts["licence"]),
            author=str(facts["author"]),
            is_own=bool(facts["is_own"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _contract_error(
            rpc, f"an entry of hairstyles is {text[:200]!r}, and cannot be read"
        ) from error


def _contract_error(rpc: Rpc, what: str) -> ContractError:
    return ContractError(
        f"{what}. Compare the versions of mien here and on the server",
        model_name=rpc.model_name,
        request_id=rpc.request_id,
    )
