# SPDX-License-Identifier: Apache-2.0
"""Avatars and hairstyles without a network, for `FakeTransport`."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

__all__ = ["avatar_values", "changed_avatar_values", "hairstyle_values"]

_STAGES = ("fit", "texture", "quality", "file")
_JSON = b'{"asset":{"version":"2.0"}} '
# The smallest files of their kinds: no scene, no entries, no strands.
_FILES = {
    "glb": struct.pack("<4sIIII", b"glTF", 2, 20 + len(_JSON), len(_JSON), 0x4E4F534A) + _JSON,
    "zip": b"PK\5\6" + bytes(18),
    "ply": b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n",
}
_STYLES = (("bob", "Bob", 20), ("bun", "Bun", 60))


def avatar_values(asked: dict[str, str], *, common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Outputs of the events of `create_avatar`.

    Args:
        asked: texts of the request's inputs; that of a flag is one character.
        common: outputs that other pipelines have too: codes, shape, similarity, untrained.
    """
    if asked.get("progress") == "\1":
        for number, stage in enumerate(_STAGES):
            done = {"stages_done": number + 1, "stages": len(_STAGES)}
            yield {"event": b"stage", "stage": stage.encode(), **done}
    pixel = common["overlay"]
    yield {
        **{name: common[name] for name in ("codes", "shape", "similarity", "untrained")},
        **changed_avatar_values(asked, picture=pixel),
        "event": b"avatar",
        "texture": pixel,
        "normals": pixel if asked.get("detail") == "\1" else b"",
        "difd": 0.0,
        "psnr": 30.0,
        "ssim": 1.0,
    }


def changed_avatar_values(asked: dict[str, str], *, picture: bytes) -> dict[str, Any]:
    """Outputs of `apply_emotion` and `try_hairstyle`, beside ``untrained``.

    Args:
        asked: texts of the request's inputs; that of a flag is one character.
        picture: that stands for a turntable.
    """
    return {
        "file": _FILES[asked.get("format", "glb")],
        "avatar_code": b"fake",
        "turntable": picture if asked.get("turntable") == "\1" else b"",
    }


def hairstyle_values(asked: dict[str, str]) -> dict[str, Any]:
    """The output ``entries`` of `hairstyles`: two that ship, and whichever one is named."""
    entries = [_entry(*style) for style in _STYLES]
    if asked["operation"] != "list":
        entries = [_entry(asked["name"], asked.get("title", asked["name"]), 20, is_own=True)]
    return {"entries": [json.dumps(entry).encode() for entry in entries]}


def _entry(name: str, title: str, length_cm: float, *, is_own: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "strands": 1000,
        "length_cm": length_cm,
        "licence": "CC0-1.0",
        "author": "fake",
        "is_own": is_own,
    }
