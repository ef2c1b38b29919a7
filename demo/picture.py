# SPDX-License-Identifier: Apache-2.0
"""A picture of one verification: both photographs with the face that was compared."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mien import Face, Verification

__all__ = ["draw_verification"]

HEIGHT_PX = 420
MARGIN_PX = 16
CAPTION_PX = 64
INK, PAPER, MARK = (20, 20, 20), (250, 250, 248), (0, 200, 120)


def draw_verification(probe: Path, reference: Path, result: Verification, target: Path) -> None:
    """Write a PNG with both photographs side by side, boxes, landmarks and the verdict."""
    left, right = _marked(probe, result.probe), _marked(reference, result.reference)
    width = left.width + right.width + 3 * MARGIN_PX
    canvas = Image.new("RGB", (width, HEIGHT_PX + CAPTION_PX + 2 * MARGIN_PX), PAPER)
    canvas.paste(left, (MARGIN_PX, MARGIN_PX))
    canvas.paste(right, (left.width + 2 * MARGIN_PX, MARGIN_PX))
    verdict = "match" if result.is_match else "no match"
    caption = f"{verdict}: similarity {result.similarity:.3f}, threshold {result.threshold:.2f}"
    draw = ImageDraw.Draw(canvas)
    top = HEIGHT_PX + 2 * MARGIN_PX
    draw.text((MARGIN_PX, top), caption, INK, font=ImageFont.load_default(24))
    if result.untrained:
        note = "UNTRAINED: random weights, the score means nothing"
        draw.text((MARGIN_PX, top + 30), note, (190, 30, 30), font=ImageFont.load_default(18))
    canvas.save(target)


def _marked(photograph: Path, face: Face) -> Image.Image:
    """The photograph at the common height, with the face's box and landmarks."""
    image = Image.open(photograph).convert("RGB")
    factor = HEIGHT_PX / image.height
    image = image.resize((round(image.width * factor), HEIGHT_PX))
    draw = ImageDraw.Draw(image)
    draw.rectangle([value * factor for value in face.box_xyxy], outline=MARK, width=3)
    for x, y in face.landmarks:
        centre_x, centre_y = x * factor, y * factor
        draw.ellipse((centre_x - 3, centre_y - 3, centre_x + 3, centre_y + 3), fill=MARK)
    return image
