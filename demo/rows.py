# SPDX-License-Identifier: Apache-2.0
"""Rows of titled, captioned squares on paper."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

__all__ = ["INK", "PALE_INK", "SIDE_PX", "Row", "drawn_rows"]

SIDE_PX, GAP_PX, EDGE_PX, CORNER_PX = 340, 18, 36, 14
TITLE_PX, CAPTION_PX = 60, 36
INK, PALE_INK, PAPER = (20, 20, 20), (105, 105, 105), (250, 250, 248)

Row = tuple[str, Sequence[tuple[str, Image.Image]]]  # title, and pictures by caption


def drawn_rows(rows: Sequence[Row]) -> Image.Image:
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
