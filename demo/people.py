# SPDX-License-Identifier: Apache-2.0
"""`python -m demo.people`: a picture of avatars of synthetic people, whom no network has seen.

`make demo` must have built its repository before.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from rich.progress import track

from demo.avatar_picture import FRONT, HALF_LEFT, RIGHT, face_of, view_of
from demo.heads import head_of
from demo.processes import BUILD, console, served, shown
from demo.rows import Row, drawn_rows
from mien import Client

__all__ = ["draw_people"]

# (identity, shot) of the held-out split: faces that look at the camera, one with glasses.
PEOPLE = ((110_007, 6), (110_010, 1), (110_021, 1), (110_033, 2), (110_040, 1), (110_052, 2))
PHOTOGRAPH_PX = 512
MOODS = ("happiness", "anger")
HAIR = ("long_wavy", "crew", "afro")


def draw_people(address: str, target: Path) -> None:
    """Write a PNG with a row for each of six people.

    Args:
        address: of a server.
        target: the file to write.
    """
    from mien_starter.world import World

    world = World(PHOTOGRAPH_PX)
    rows: list[Row] = []
    with Client(address) as client:
        for identity, shot in track(PEOPLE, description="avatars", console=console):
            photograph = target.with_name(f"person_{identity}.png")
            Image.fromarray(world.photograph(identity, shot).image_rgb).save(photograph)
            rows.append((f"person {identity}", _pictures(client, photograph)))
    drawn_rows(rows).save(target)


def _pictures(client: Client, photograph: Path) -> list[tuple[str, Image.Image]]:
    me = client.avatar(photograph, hairstyle="short_side_part", turntable=True)
    views = me.preview()
    pictures = [
        ("photograph", head_of(photograph, client.embed(photograph).face)),
        (f"avatar, similarity {me.quality.similarity:.2f}", view_of(views, FRONT)),
        ("from its left", view_of(views, HALF_LEFT)),
        ("from its right", view_of(views, RIGHT)),
    ]
    pictures += [(mood, face_of(me.with_emotion({mood: 1.0}).preview())) for mood in MOODS]
    for name in HAIR:
        pictures.append((name, view_of(me.with_hairstyle(name).preview(), HALF_LEFT)))
    return pictures


def main() -> int:
    """Serve the demo's repository and draw; the exit code."""
    target = BUILD / "people.png"
    with served(BUILD / "repository") as address:
        draw_people(address, target)
    console.print(shown(target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
