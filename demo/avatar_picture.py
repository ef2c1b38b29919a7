# SPDX-License-Identifier: Apache-2.0
"""The picture of an avatar: beside its photograph, from three sides, in other moods and hair."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from demo.heads import head_of
from mien import Avatar, Face

__all__ = ["draw_avatar"]

SIDE_PX, GAP_PX, EDGE_PX, CORNER_PX = 340, 18, 36, 14
TITLE_PX, CAPTION_PX = 60, 36
INK, PALE_INK, PAPER, CARD = (20, 20, 20), (105, 105, 105), (250, 250, 248), (240, 240, 240)
WARNING_INK = (190, 30, 30)
# A preview shows the head from its left over the front to its right, in squares.
HALF_LEFT, FRONT, RIGHT = 1, 2, 4
# In a front view; what lies outside is hair.
FACE_BOX = (0.14, 0.22, 0.86, 0.94)

Row = tuple[str, Sequence[tuple[str, Image.Image]]]


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
        ("the avatar", _view(views, FRONT)),
        ("from its left", _view(views, HALF_LEFT)),
        ("from its right", _view(views, RIGHT)),
    ]
    faces = [(caption, _view(png, FRONT).crop(_pixels(FACE_BOX))) for caption, png in moods.items()]
    styles = [(caption, _view(png, HALF_LEFT)) for caption, png in hair.items()]
    rows: list[Row] = [
        ("One photograph becomes a head", sides),
        ("in other moods", faces),
        ("with other hair", [*styles, ("likeness to the photograph", _figures(avatar))]),
    ]
    _sheet(rows).save(target)


def _sheet(rows: Sequence[Row]) -> Image.Image:
    """Rows of titled, captioned squares."""
    columns = max(len(panels) for _, panels in rows)
    row_px = TITLE_PX + SIDE_PX + CAPTION_PX
    size = (2 * EDGE_PX + columns * (SIDE_PX + GAP_PX) - GAP_PX, EDGE_PX + len(rows) * row_px)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    corners = Image.new("L", (SIDE_PX, SIDE_PX))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, SIDE_PX - 1, SIDE_PX - 1), CORNER_PX, 255)
    for number, (title, panels) in enumerate(rows):
        top = number * row_px + TITLE_PX
        draw.text((EDGE_PX, top - 14), title, INK, ImageFont.load_default(26), "ls")
        for column, (caption, panel) in enumerate(panels):
            left = EDGE_PX + column * (SIDE_PX + GAP_PX)
            square = panel.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
            canvas.paste(square, (left, top), corners)
            middle = (left + SIDE_PX // 2, top + SIDE_PX + 24)
            draw.text(middle, caption, PALE_INK, ImageFont.load_default(18), "ms")
    return canvas


def _view(preview: bytes, number: int) -> Image.Image:
    """One of the squares of a preview."""
    image = Image.open(io.BytesIO(preview)).convert("RGB")
    side = image.height
    square = image.crop((number * side, 0, (number + 1) * side, side))
    return square.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def _pixels(box: tuple[float, ...]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(SIDE_PX * edge) for edge in box)
    return left, top, right, bottom


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
