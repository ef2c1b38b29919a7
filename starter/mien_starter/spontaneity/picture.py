# SPDX-License-Identifier: Apache-2.0
"""Expressions to look at: onset and apex, posed and spontaneous, of all six emotions.

Letters  P people, S side of a face in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien_export.networks.compcnn import CLASSES
from mien_export.networks.emotion_mlp import EMOTIONS
from mien_server.expression_crop import expression_window
from mien_server.warping import warped
from mien_starter.spontaneity.making import RecordsExpressions
from mien_starter.spontaneity.recording import Item

__all__ = ["expressions_picture"]

Picture = NDArray[np.uint8]

_LABEL_PX, _GAP_PX, _GROUND = 20, 6, 219
_FRAMES = ("onset", "apex")


def expressions_picture(
    recorder: RecordsExpressions,
    people: Sequence[int],
    size: int = 110,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Picture:
    """One row for each emotion; for each person onset and apex, posed and then spontaneous.

    Faces lie as in the crops of training, but in colour and finer.

    Args:
        recorder: its photographs should show faces at least as large.
        people: numbers of P of them.
        size: S.
        on_progress: told how many pairs are drawn, of 12 P.

    Returns:
        (height, width, 3) with labels.
    """
    rows, done = [], 0
    for emotion in range(len(EMOTIONS)):
        row = []
        for person in people:
            for kind in range(len(CLASSES)):
                row += _faces(recorder, Item(person, emotion, kind, 0), size)
                done += 1
                on_progress(done)
        rows.append(np.hstack(row)[:, :-_GAP_PX])
    return _labelled(np.vstack(rows), size, len(people))


def _faces(recorder: RecordsExpressions, item: Item, size: int) -> list[Picture]:
    recording = recorder.record(item)
    faces = [
        warped(image, expression_window(points, size), size)
        for image, points in zip(recording.photographs, recording.landmarks, strict=True)
    ]
    return [*faces, np.full((size, _GAP_PX, 3), _GROUND, np.uint8)]


def _labelled(faces: Picture, size: int, people: int) -> Picture:
    height, width = faces.shape[:2]
    font = ImageFont.load_default(size=0.6 * _LABEL_PX)
    margin, top = 4 * _LABEL_PX, 2 * _LABEL_PX
    sheet = Image.new("RGB", (margin + width, top + height), (_GROUND,) * 3)
    sheet.paste(Image.fromarray(faces), (margin, top))
    draw, step = ImageDraw.Draw(sheet), 2 * size + _GAP_PX
    for row, emotion in enumerate(EMOTIONS):
        place = (6.0, top + (row + 0.5) * size)
        draw.text(place, emotion, fill="black", font=font, anchor="lm")
    for column, kind in enumerate(CLASSES * people):
        left = margin + column * step
        draw.text((left + size, _LABEL_PX / 2), kind, fill="black", font=font, anchor="mm")
        for frame, name in enumerate(_FRAMES):
            place = (left + (frame + 0.5) * size, 1.5 * _LABEL_PX)
            draw.text(place, name, fill="black", font=font, anchor="mm")
    return np.asarray(sheet, np.uint8)
