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

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.orientation_filling import filled, pointed
from mien_server.hair.orientation_filters import find_lines
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
    """Find out which way hair runs; about 40 ms at 256 pixels.

    Args:
        image_rgb: (H, W, 3) uint8, such as the portrait crop.
        hair: (H, W) bool, or the probability of hair.
        body: (H, W) likewise of the person's skin and clothes.
        crown_xy: pixels, where strands begin; that of the portrait crop by default.

    Raises:
        ValueError: shapes that do not belong together, or an image of another type.
    """
    if image_rgb.dtype != np.uint8 or image_rgb.shape != (*np.shape(hair), 3):
        raise ValueError(
            f"image is {image_rgb.dtype} {image_rgb.shape} and hair {np.shape(hair)}; expected "
            "uint8 (H, W, 3) and (H, W)"
        )
    is_hair, is_body = _likely(hair), _likely(body)
    lines = find_lines(image_rgb, is_hair)
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


def _likely(mask: NDArray[Any]) -> NDArray[np.bool_]:
    values = np.asarray(mask)
    return values if values.dtype == np.bool_ else values > _LIKELY
