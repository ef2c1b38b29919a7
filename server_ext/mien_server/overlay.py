# SPDX-License-Identifier: Apache-2.0
"""A fitted head drawn over the photograph it was fitted to.

The head is rendered under a camera of its own, which lets it fill the rendered image whatever the
crop was, and is then laid where the fit's camera puts it. Both cameras look along the same axis
without perspective, so a similarity of the plane leads from one image to the other.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.images import DecodedImage
from mien_server.rendering import pixels_from_image, project, unproject
from mien_server.warping import moved, warped

__all__ = ["draw_overlay", "framing_cameras", "image_from_render"]

Array = NDArray[Any]

MAX_SIDE_PX = 1024
MAX_ENLARGEMENT = 2.0  # of a small photograph, for the sake of what is drawn on it
HEAD_OPACITY = 0.6
FRAME_FILL = 0.96  # of the rendered image, by the longer side of the head
DOT_RGB = (120, 255, 170)
DOT_IN_HEADS = 1 / 130  # radius, in longer sides of the head
MIN_DOT_PX, MAX_DOT_PX = 0.9, 6.0
# OpenCV draws at fractions of a pixel with this many bits.
SUBPIXEL_BITS = 4


def framing_cameras(vertices: Array) -> NDArray[np.float32]:
    """Cameras under which each head fills the image.

    Args:
        vertices: (N, V, 3) metres.

    Returns:
        (N, 3) s, tx, ty as in `mien_server.rendering.camera`.
    """
    low, high = vertices[..., :2].min(axis=1), vertices[..., :2].max(axis=1)
    scale = 2 * FRAME_FILL / (high - low).max(axis=1)
    return np.column_stack([scale, -(low + high) / 2]).astype(np.float32)


def image_from_render(
    framing: Array, camera: Array, image_from_crop: Array, *, render_px: int, crop_px: int
) -> NDArray[np.float64]:
    """(2, 3) from pixels of the rendered head to pixels of the photograph.

    Args:
        framing: (3,) the camera it was rendered under.
        camera: (3,) the fit's camera, which looks at the crop.
        image_from_crop: (2, 3) of the crop.
        render_px: side of the rendered image.
        crop_px: side of the crop.
    """
    corners = np.array([(-1, -1, 0), (1, -1, 0), (-1, 1, 0)], np.float64)
    in_crop = project(unproject(corners, framing), camera)
    in_image = moved(image_from_crop, pixels_from_image(in_crop, width=crop_px, height=crop_px))
    in_render = pixels_from_image(corners, width=render_px, height=render_px)
    transform: NDArray[np.float64] = cv2.getAffineTransform(
        in_render.astype(np.float32), in_image.astype(np.float32)
    )
    return transform


def draw_overlay(
    photograph: DecodedImage, rgba: Array, image_from_rgba: Array, landmarks: Array
) -> bytes:
    """The photograph, scaled to be at most 1024 pixels long, with the head over it.

    Args:
        photograph: what the head was fitted to.
        rgba: (4, S, S) float32 0..1, the rendered head; alpha 0 where it is not.
        image_from_rgba: (2, 3) from its pixels to those of the upright file.
        landmarks: (N, 2) dots to draw, in pixels of the upright file.

    Returns:
        The bytes of a PNG.
    """
    canvas, canvas_from_image = _canvas(photograph)
    size = rgba.shape[-1]
    canvas_from_rgba = np.column_stack(
        [
            canvas_from_image[:, None] * image_from_rgba[:, :2],
            canvas_from_image * image_from_rgba[:, 2],
        ]
    )
    corners = moved(canvas_from_rgba, np.array([(0, 0), (size, 0), (0, size), (size, size)]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    limit = np.array(canvas.shape[1::-1])
    first, last = (np.clip(edge, 0, limit).astype(int) for edge in (np.floor(low), np.ceil(high)))
    if (last > first).all():
        _blend(canvas, _patch(rgba, canvas_from_rgba, first, int((last - first).max())), first)
    radius = float(np.clip((high - low).max() * DOT_IN_HEADS, MIN_DOT_PX, MAX_DOT_PX))
    _draw_dots(canvas, landmarks * canvas_from_image, radius)
    done, png = cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError(f"OpenCV cannot write a PNG of {canvas.shape}")
    return bytes(png)


def _canvas(photograph: DecodedImage) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """(H, W, 3) to draw on, and the factors (x, y) from pixels of the file to its own."""
    height, width = photograph.image_rgb.shape[:2]
    factor = min(MAX_ENLARGEMENT, MAX_SIDE_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas = cv2.resize(photograph.image_rgb, size, interpolation=interpolation)
    return canvas, np.array(size) / (photograph.width, photograph.height)


def _patch(
    rgba: Array, canvas_from_rgba: NDArray[np.float64], first: NDArray[np.int_], side: int
) -> NDArray[np.float32]:
    """(side, side, 4) the head as it lies on the canvas from `first` on, times its alpha."""
    alpha = rgba[3:]
    pixels = np.concatenate([rgba[:3] * alpha, alpha]).transpose(1, 2, 0)
    bytes_of_head = np.ascontiguousarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))
    patch_from_rgba = canvas_from_rgba - np.column_stack([np.zeros((2, 2)), first])
    return warped(bytes_of_head, patch_from_rgba, side).astype(np.float32)


def _blend(canvas: NDArray[np.uint8], patch: NDArray[np.float32], first: NDArray[np.int_]) -> None:
    left, top = first
    under = canvas[top : top + patch.shape[0], left : left + patch.shape[1]]
    shown = patch[: under.shape[0], : under.shape[1]] * HEAD_OPACITY
    under[:] = (under * (1 - shown[..., 3:] / 255) + shown[..., :3]).round()


def _draw_dots(canvas: NDArray[np.uint8], points: Array, radius: float) -> None:
    unit = 1 << SUBPIXEL_BITS
    inside = ((points > -radius) & (points < np.array(canvas.shape[1::-1]) + radius)).all(axis=1)
    # OpenCV counts pixels by their centres.
    for x, y in ((points[inside] - 0.5) * unit).round().astype(int).tolist():
        cv2.circle(canvas, (x, y), round(radius * unit), DOT_RGB, -1, cv2.LINE_AA, SUBPIXEL_BITS)
