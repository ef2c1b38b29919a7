# SPDX-License-Identifier: Apache-2.0
"""The sheet of generated faces, which fills while they are made: people in rows, styles in columns.

Below them a strip shows how the first face of all came about.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["FacesSheet"]

SIDE_PX, GAP_PX, EDGE_PX, CORNER_PX = 150, 10, 36, 10
TITLE_PX, CAPTION_PX, WHO_GAP_PX = 64, 30, 26
INK, PALE_INK, PAPER, CARD = (20, 20, 20), (105, 105, 105), (250, 250, 248), (236, 236, 234)
WARNING_INK = (190, 30, 30)

Size = tuple[int, int]


class FacesSheet:
    """A picture that is complete once every face has been shown.

    Args:
        people: captions of the rows.
        columns: faces of each.
        film: pictures of the strip, the last of which is the finished face.
    """

    def __init__(self, people: Sequence[str], columns: int, film: int) -> None:
        self._columns = columns
        self._film_left = film
        self._rows = len(people)
        self._canvas = Image.new("RGB", self._size(film), PAPER)
        self._draw = ImageDraw.Draw(self._canvas)
        self._corners = Image.new("L", (SIDE_PX, SIDE_PX))
        outline = (0, 0, SIDE_PX - 1, SIDE_PX - 1)
        ImageDraw.Draw(self._corners).rounded_rectangle(outline, CORNER_PX, 255)
        self._title(0, "One person in many styles")
        self._title(self._top(self._rows) - TITLE_PX, "How a face comes about")
        for row, caption in enumerate(people):
            self._paste(self._place(row, -1), Image.new("RGB", (8, 8), CARD))
            self._words(self._place(row, -1), caption)
        self._film_place = self._place(self._rows, -1)

    def portrait(self, row: int, image: Image.Image) -> None:
        """Show who a row is about."""
        self._paste(self._place(row, -1), image)

    def face(self, row: int, column: int, png: bytes, caption: str = "") -> None:
        """Show a face, foreseen or finished."""
        self._paste(self._place(row, column), _opened(png))
        self._words(self._place(row, column), caption)

    def film(self, png: bytes, caption: str) -> None:
        """Show the first face's next state in the strip, as far as there is room."""
        if not self._film_left:
            return
        self._film_left -= 1
        self._paste(self._film_place, _opened(png))
        self._words(self._film_place, caption)
        left, top = self._film_place
        self._film_place = (left + SIDE_PX + GAP_PX, top)

    def warn(self, note: str) -> None:
        """Write a warning beside the title."""
        place = (self._canvas.width - EDGE_PX, TITLE_PX - 22)
        self._draw.text(place, note, WARNING_INK, ImageFont.load_default(20), "rs")

    def save(self, target: Path) -> None:
        """Write it as it is, so that a viewer of the file never sees half of it."""
        unfinished = target.with_name(f".{target.name}")
        self._canvas.save(unfinished, "PNG")
        os.replace(unfinished, target)

    def _size(self, film: int) -> Size:
        wide = max(1 + self._columns, film) * (SIDE_PX + GAP_PX) - GAP_PX + WHO_GAP_PX
        return wide + 2 * EDGE_PX, self._top(self._rows) + SIDE_PX + CAPTION_PX + EDGE_PX

    def _top(self, row: int) -> int:
        strip = TITLE_PX if row == self._rows else 0
        return TITLE_PX + row * (SIDE_PX + CAPTION_PX) + strip

    def _place(self, row: int, column: int) -> Size:
        """The corner of a square; those of the photographs are in column -1."""
        left = EDGE_PX + (column + 1) * (SIDE_PX + GAP_PX)
        return left + (WHO_GAP_PX if column >= 0 else 0), self._top(row)

    def _title(self, top: int, text: str) -> None:
        self._draw.text((EDGE_PX, top + 42), text, INK, ImageFont.load_default(26), "ls")

    def _paste(self, place: Size, image: Image.Image) -> None:
        square = image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        self._canvas.paste(square, place, self._corners)

    def _words(self, place: Size, text: str) -> None:
        left, top = place[0], place[1] + SIDE_PX
        self._draw.rectangle((left, top, left + SIDE_PX, top + CAPTION_PX - 1), PAPER)
        middle = (left + SIDE_PX // 2, top + 19)
        self._draw.text(middle, text, PALE_INK, ImageFont.load_default(15), "ms")


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))
