# SPDX-License-Identifier: Apache-2.0
"""Pictures of what the server said: the faces it compared, the head it fitted."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mien import Face, FittedFace, Verification

__all__ = ["draw_fit", "draw_verification", "stack"]

HEIGHT_PX = 420
MARGIN_PX = 16
CAPTION_PX = 64
INK, PAPER, MARK, DOT = (20, 20, 20), (250, 250, 248), (0, 200, 120), (255, 210, 60)
MARGIN_OF_HEAD = 0.25  # beside the head, in its own longer sides
WARNING_INK = (190, 30, 30)


def draw_verification(probe: Path, reference: Path, result: Verification, target: Path) -> None:
    """Write a PNG with both photographs side by side, boxes, landmarks and the verdict."""
    verdict = "match" if result.is_match else "no match"
    caption = f"{verdict}: similarity {result.similarity:.3f}, threshold {result.threshold:.2f}"
    if result.fmr is not None:
        caption += f" at FMR {result.fmr:.0e}"
    note = "UNTRAINED: random weights, the score means nothing" if result.untrained else ""
    panels = [_marked(probe, result.probe), _marked(reference, result.reference)]
    _sheet(panels, caption, note).save(target)


def draw_fit(photograph: Path, fit: FittedFace, target: Path) -> None:
    """Write a PNG of the head's surroundings: with box and landmarks, and with the fitted head.

    Args:
        photograph: the file the head was fitted to.
        fit: made with ``overlay=True``.
        target: the file to write.

    Raises:
        ValueError: the fit has no overlay.
    """
    if fit.overlay is None:
        raise ValueError("the fit has no overlay; make it with Client.fit(..., overlay=True)")
    error_px = fit.landmark_error_px
    caption = f"fitted head: {len(fit.vertices)} vertices"
    if error_px is not None:
        caption += f", landmarks within {error_px:.1f} px"
    note = "UNTRAINED: random weights, the fit means nothing" if fit.untrained else ""
    original, overlay = _opened(photograph.read_bytes()), _opened(fit.overlay)
    region = _surroundings(fit.vertices_px, original.size)
    factor = overlay.width / original.width
    panels = [
        _with_marks(original, region, fit.face, fit.landmarks_68),
        _scaled(overlay.crop(tuple(round(edge * factor) for edge in region))),
    ]
    _sheet(panels, caption, note).save(target)


def stack(pictures: Sequence[Path], target: Path) -> None:
    """Write one PNG of several, below each other."""
    images = [Image.open(picture) for picture in pictures]
    canvas = Image.new(
        "RGB", (max(image.width for image in images), sum(image.height for image in images)), PAPER
    )
    top = 0
    for image in images:
        canvas.paste(image, (0, top))
        top += image.height
    canvas.save(target)


def _sheet(panels: list[Image.Image], caption: str, note: str) -> Image.Image:
    """Panels of the common height in a row, with a caption below."""
    width = sum(panel.width + MARGIN_PX for panel in panels) + MARGIN_PX
    canvas = Image.new("RGB", (width, HEIGHT_PX + CAPTION_PX + 2 * MARGIN_PX), PAPER)
    left = MARGIN_PX
    for panel in panels:
        canvas.paste(panel, (left, MARGIN_PX))
        left += panel.width + MARGIN_PX
    draw = ImageDraw.Draw(canvas)
    top = HEIGHT_PX + 2 * MARGIN_PX
    draw.text((MARGIN_PX, top), caption, INK, font=ImageFont.load_default(24))
    draw.text((MARGIN_PX, top + 30), note, WARNING_INK, font=ImageFont.load_default(18))
    return canvas


def _marked(photograph: Path, face: Face) -> Image.Image:
    """The photograph at the common height, with the face's box and landmarks."""
    return _with_marks(_opened(photograph.read_bytes()), None, face)


def _with_marks(
    original: Image.Image,
    region: tuple[int, int, int, int] | None,
    face: Face,
    landmarks_68: NDArray[np.float32] | None = None,
) -> Image.Image:
    """A region of the photograph, None for all of it, at the common height, with its face."""
    image = original if region is None else original.crop(region)
    start = np.array((0, 0) if region is None else region[:2])
    factor = HEIGHT_PX / image.height
    image = _scaled(image)
    draw = ImageDraw.Draw(image)
    corners = (np.reshape(face.box_xyxy, (2, 2)) - start) * factor
    draw.rectangle(corners.ravel().tolist(), outline=MARK, width=3)
    if landmarks_68 is not None:
        _dots(draw, (landmarks_68 - start) * factor, 2, DOT)
    _dots(draw, (face.landmarks - start) * factor, 3, MARK)
    return image


def _surroundings(points: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of an image that shows the points with a margin, and nothing outside the image."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    margin = MARGIN_OF_HEAD * (high - low).max()
    left, top = np.clip(np.floor(low - margin), 0, np.array(size) - 1).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high + margin), (left + 1, top + 1), size).astype(int).tolist()
    return left, top, right, bottom


def _dots(
    draw: ImageDraw.ImageDraw, points: NDArray[np.float32], radius: float, fill: tuple[int, ...]
) -> None:
    for x, y in points[np.isfinite(points).all(axis=1)].tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _opened(encoded: bytes) -> Image.Image:
    upright: Image.Image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
    return upright.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    return image.resize((max(1, round(image.width * HEIGHT_PX / image.height)), HEIGHT_PX))
