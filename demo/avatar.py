# SPDX-License-Identifier: Apache-2.0
"""The demo's step with an avatar: one photograph, a head with hair, other faces and other hair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.avatar_picture import draw_avatar
from demo.processes import BUILD, console, run, shown
from mien import Avatar, Client

__all__ = ["MadeAvatar", "make_avatar"]

HAIRSTYLE = "short_side_part"
EMOTIONS = ("happiness", "anger", "sadness", "surprise")
OTHER_HAIR = {"pixie": "#8a3d20", "bob": "#241a15", "ponytail": "#b08a50"}


@dataclass(frozen=True, slots=True)
class MadeAvatar:
    """What the step leaves behind.

    Attributes:
        file: the GLB; the zip lies beside it.
        picture: the PNG.
    """

    file: Path
    picture: Path


def make_avatar(photograph: Path, address: str) -> MadeAvatar:
    """Write `avatar.glb`, `avatar.zip` and `avatar.png`."""
    made = MadeAvatar(BUILD / "avatar.glb", BUILD / "avatar.png")
    command = ["mien", "--server", address, "avatar", shown(photograph), "--hairstyle", HAIRSTYLE]
    run([*command, "--out", shown(made.file)])
    with Client(address) as client:
        face = client.embed(photograph).face
        me = client.avatar(photograph, hairstyle=HAIRSTYLE, turntable=True)
        me.save(made.file.with_suffix(".zip"))
        titles = {style.name: style.title for style in client.hairstyles()}
        faces = dict(_previews((emotion, _feeling(me, emotion)) for emotion in EMOTIONS))
        hair = dict(
            _previews(
                (titles[name], me.with_hairstyle(name, color=color))
                for name, color in OTHER_HAIR.items()
            )
        )
        draw_avatar(photograph, face, me, faces, hair, made.picture)
    return made


def _feeling(me: Avatar, emotion: str) -> Avatar:
    return me.with_emotion({emotion: 1.0})


def _previews(avatars: Iterator[tuple[str, Avatar]]) -> Iterator[tuple[str, bytes]]:
    """PNG of each, from several sides, under its caption."""
    for caption, avatar in avatars:
        with console.status(f"drawing it: {caption}"):
            yield caption, avatar.preview()
