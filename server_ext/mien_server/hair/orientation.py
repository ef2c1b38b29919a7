# SPDX-License-Identifier: Apache-2.0
"""From a photograph to HairNet's orientation map: which way every pixel of hair runs.

Encoding  Zhou et al. 2018, *HairNet*, and its tools: red is 0 on the background, a half on the
          body, 1 on hair; of the hair's direction (x, y), x to the right and y up, blue holds
          x / 2 + 0.5 and green y; both are 0 elsewhere. Bytes are 255 times that, rounded. A
          photograph shows lines, not their sense, and green has no room for a sign: of a line's two
          senses the one that points up is encoded, of a level line the one to the right.
Letters   H and W of an image. Angles as in `orientation_filters`.

OpenCV reads and writes the colours the other way round; arrays here are RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.hair.orientation_filling import filled, pointed
from mien_server.hair.orientation_filters import Lines, find_lines
from mien_server.hair.portrait_crop import CROWN_XY

__all__ = [
    "BACKGROUND",
    "BODY",
    "HAIR",
    "HairOrientation",
    "decoded_map",
    "encoded_map",
    "hair_orientation",
]

Array = NDArray[np.float32]

BACKGROUND, BODY, HAIR = 0, 128, 255  # red
_LIKELY = 0.5
_HALF_UP = 0.5 + 1e-4  # 127.5, the blue of an upright line, is one thing for all


@dataclass(frozen=True, eq=False)
class HairOrientation:
    """What is known of the hair in a crop.

    Attributes:
        map_rgb: (H, W, 3) uint8 in HairNet's encoding: what hair_vae takes.
        confidence: (H, W) float32, 0 to 1: how well the photograph shows the direction.
        directions: (H, W, 2) float32 unit vectors from root to tip by the rule of
            `orientation_filling.pointed`, x to the right and y up; 0 outside the hair.
    """

    map_rgb: NDArray[np.uint8]
    confidence: Array
    directions: Array


def hair_orientation(
    image_rgb: NDArray[np.uint8],
    hair: NDArray[Any],
    body: NDArray[Any],
    crown_xy: tuple[float, float] = CROWN_XY,
) -> HairOrientation:
    """Find out which way hair runs; about 60 ms of one core for a crop of 512.

    Args:
        image_rgb: (k H, k W, 3) uint8, k a whole number: the portrait crop, twice as large as its
            masks (`twice_as_large`), since hair is finer than its outline. k = 1 will do.
        hair: (H, W) bool, or the probability of hair.
        body: (H, W) likewise of the person's skin and clothes.
        crown_xy: pixels, where strands begin; that of the portrait crop by default.

    Raises:
        ValueError: shapes that do not belong together, or an image of another type.
    """
    is_hair, is_body = _likely(hair), _likely(body)
    times = _times(image_rgb, is_hair)
    lines = find_lines(image_rgb, np.kron(is_hair, np.ones((times, times), bool)))
    lines = _pooled(lines, is_hair)
    double = filled(lines.double, lines.confidence, is_hair)
    angles = np.arctan2(double[..., 1], double[..., 0]) / 2
    return HairOrientation(
        encoded_map(angles, is_hair, is_body),
        lines.confidence,
        pointed(double, is_hair, crown_xy),
    )


def encoded_map(
    angles_rad: NDArray[Any], hair: NDArray[Any], body: NDArray[Any]
) -> NDArray[np.uint8]:
    """The map of known directions.

    Args:
        angles_rad: (H, W) of lines or strands in the image; only hair's are looked at.
        hair: (H, W) bool, or its probability.
        body: (H, W) likewise; hair covers it.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: shapes that differ.
    """
    is_hair, is_body = _likely(hair), _likely(body)
    if not np.shape(angles_rad) == is_hair.shape == is_body.shape:
        raise ValueError(
            f"angles are {np.shape(angles_rad)}, hair {is_hair.shape}, body {is_body.shape}; "
            "expected one shape (H, W)"
        )
    angles = np.where(is_hair, angles_rad, 0.0)
    x, y = np.cos(angles), np.sin(angles)
    # Rounding may leave a level line a hair's breadth below zero.
    turned = (y < -1e-6) | ((np.abs(y) <= 1e-6) & (x < 0))
    x, y = np.where(turned, -x, x), np.abs(y)
    red = np.where(is_hair, HAIR, np.where(is_body, BODY, BACKGROUND))
    colours = np.stack([red, y * 255 * is_hair, (x / 2 + 0.5) * 255 * is_hair], axis=-1)
    rounded: NDArray[np.uint8] = np.floor(colours + _HALF_UP).astype(np.uint8)
    return rounded


def decoded_map(
    map_rgb: NDArray[np.uint8],
) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """The way back: (H, W) angles from 0 to below pi, 0 where there is no hair; hair; body."""
    red, green, blue = np.moveaxis(np.asarray(map_rgb, np.float32), -1, 0)
    hair, body = red > (BODY + HAIR) / 2, (red > BODY / 2) & (red <= (BODY + HAIR) / 2)
    angles = np.arctan2(green / 255, blue / 255 * 2 - 1) % np.pi
    return np.where(hair, angles, 0.0).astype(np.float32), hair, body


def _times(image_rgb: NDArray[np.uint8], hair: NDArray[np.bool_]) -> int:
    times = image_rgb.shape[0] // max(hair.shape[0], 1) if image_rgb.ndim == 3 else 0
    wanted = (*(times * side for side in hair.shape), 3)
    if image_rgb.dtype != np.uint8 or hair.ndim != 2 or times < 1 or image_rgb.shape != wanted:
        raise ValueError(
            f"image is {image_rgb.dtype} {image_rgb.shape} and hair {hair.shape}; expected uint8 "
            "(k H, k W, 3) with a whole k, and (H, W)"
        )
    return times


def _pooled(lines: Lines, hair: NDArray[np.bool_]) -> Lines:
    """What the pixels within each of (H, W) say together, the sure ones more."""
    if lines.confidence.shape == hair.shape:
        return lines
    size = hair.shape[::-1]
    weighted = lines.double * lines.confidence[..., None]
    vector = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    length = np.linalg.norm(vector, axis=-1)
    double = vector / np.where(length > 0, length, 1)[..., None]
    return Lines(double.astype(np.float32), (length * hair).astype(np.float32))


def _likely(mask: NDArray[Any]) -> NDArray[np.bool_]:
    values = np.asarray(mask)
    return values if values.dtype == np.bool_ else values > _LIKELY
