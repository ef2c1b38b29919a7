# SPDX-License-Identifier: Apache-2.0
"""The picture of an avatar: beside its photograph, from three sides, in other moods and hair."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from demo.heads import head_of
from demo.rows import INK, PALE_INK, SIDE_PX, Row, drawn_rows
from mien import Avatar, Face

__all__ = ["FRONT", "HALF_LEFT", "RIGHT", "draw_avatar", "face_of", "view_of"]

CARD = (240, 240, 240)
WARNING_INK = (190, 30, 30)
# A preview shows the head from its left over the front to its right, in squares.
HALF_LEFT, FRONT, RIGHT = 1, 2, 4
# In a front view; what lies outside is hair.
FACE_BOX = (0.14, 0.22, 0.86, 0.94)


def draw_avatar(
    photograph: Path,
    face: Face,
    avatar: Avatar,
    moods: Mapping[str, bytes],
    hair: Mapping[str, bytes],
    target: Path,
) -> None:
    """Write a PNG of three rows: the photograph and three sides, moods, hair and the likeness.

    Args:
        photograph: the file the avatar was made of.
        face: found in it.
        avatar: with a turntable.
        moods: previews of the avatar, by caption.
        hair: likewise.
        target: the file to write.
    """
    views = avatar.preview()
    sides = [
        ("the photograph", head_of(photograph, face)),
        ("the avatar", view_of(views, FRONT)),
        ("from its left", view_of(views, HALF_LEFT)),
        ("from its right", view_of(views, RIGHT)),
    ]
    faces = [(caption, face_of(png)) for caption, png in moods.items()]
    styles = [(caption, view_of(png, HALF_LEFT)) for caption, png in hair.items()]
    rows: list[Row] = [
        ("One photograph becomes a head", sides),
        ("in other moods", faces),
        ("with other hair", [*styles, ("likeness to the photograph", _figures(avatar))]),
    ]
    drawn_rows(rows).save(target)


def view_of(preview: bytes, number: int) -> Image.Image:
    """One of the squares of a preview."""
    image = Image.open(io.BytesIO(preview)).convert("RGB")
    side = image.height
    square = image.crop((number * side, 0, (number + 1) * side, side))
    return square.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def face_of(preview: bytes) -> Image.Image:
    """The face in the front view of a preview, cut close."""
    left, top, right, bottom = (round(SIDE_PX * edge) for edge in FACE_BOX)
    return view_of(preview, FRONT).crop((left, top, right, bottom))


def _figures(avatar: Avatar) -> Image.Image:
    """How like the photograph the avatar is, in words."""
    quality = avatar.quality
    lines = {
        "similarity": f"{quality.similarity:.2f}",
        "DIFD": f"{quality.difd:.2f}",
        "PSNR": f"{quality.psnr:.1f} dB",
        "SSIM": f"{quality.ssim:.2f}",
    }
    panel = Image.new("RGB", (SIDE_PX, SIDE_PX), CARD)
    draw = ImageDraw.Draw(panel)
    for row, (name, value) in enumerate(lines.items()):
        height = 78 + 62 * row
        draw.text((40, height), name, PALE_INK, ImageFont.load_default(20), "ls")
        draw.text((SIDE_PX - 40, height), value, INK, ImageFont.load_default(30), "rs")
    if avatar.untrained:
        note = "UNTRAINED: random weights"
        draw.text((SIDE_PX // 2, 320), note, WARNING_INK, ImageFont.load_default(18), "ms")
    return panel
