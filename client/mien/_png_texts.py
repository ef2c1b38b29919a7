# SPDX-License-Identifier: Apache-2.0
"""The texts inside a PNG (tEXt chunks, PNG specification, section 11.3.3), without decoding it."""

from __future__ import annotations

import struct

from mien._errors import ContractError

__all__ = ["png_texts"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")  # length of the content, type
_CHECKSUM_BYTES = 4


def png_texts(png: bytes) -> dict[str, str]:
    """Texts by keyword, of the chunks before the pixels.

    Raises:
        ContractError: it is no PNG, or one that ends before its pixels.
    """
    texts: dict[str, str] = {}
    position = len(_SIGNATURE)
    while png.startswith(_SIGNATURE) and position + _CHUNK.size <= len(png):
        length, kind = _CHUNK.unpack_from(png, position)
        start = position + _CHUNK.size
        if kind == b"IDAT":
            return texts
        if kind == b"tEXt":
            keyword, _, text = png[start : start + length].partition(b"\0")
            texts[keyword.decode("latin-1")] = text.decode("latin-1")
        position = start + length + _CHECKSUM_BYTES
    raise ContractError(
        f"an image of {len(png)} bytes is no PNG; expected one with pixels. Compare the versions "
        "of mien here and on the server"
    )
