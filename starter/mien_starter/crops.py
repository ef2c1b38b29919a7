# SPDX-License-Identifier: Apache-2.0
"""The crops that networks are trained on: those of serving, seen by an imperfect detector.

Windows are (2, 3) `crop_from_image`, points (x, y) as in `mien_server.warping`. A camera is DECA's
(s, tx, ty): x' = s (x + tx), y' = -s (y + ty), where -1 and 1 are the outer edges of a square image
and y' points down (Feng et al. 2021, `batch_orth_proj`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.alignment import crop_face
from mien_server.deca_crop import DECA_SIZE_PX, deca_window_from_landmarks
from mien_server.landmarking import SIZE_PX as LOOSE_SIZE_PX
from mien_server.warping import square

__all__ = [
    "ALIGNED_SIZE_PX",
    "DECA_SIZE_PX",
    "GENERATED_SIZE_PX",
    "LOOSE_SIZE_PX",
    "RECOGNIZER_COLUMNS",
    "RECOGNIZER_ROWS",
    "aligned_crop",
    "camera_in_crop",
    "deca_window",
    "eye_distance",
    "generator_crop",
    "jittered_points",
    "loose_window",
    "window_without_face",
]

Array = NDArray[np.float64]

ALIGNED_SIZE_PX = 112
GENERATED_SIZE_PX = 128
# The recogniser's crop within the generator's: insightface moves the template by 8 px in x.
RECOGNIZER_ROWS, RECOGNIZER_COLUMNS = slice(0, 112), slice(8, 120)

# Sides of the landmarker's square in longer sides of the 68 landmarks' box, and how far off its
# centre lies, in sides of the square. Serving aims at 1.6 and is seldom as wrong as this.
LOOSE_MARGIN = (1.2, 2.2)
LOOSE_SHIFT = 0.18
# A detector that knows the eyes turns the crop nearly upright; one that does not leaves any angle.
LOOSE_ANGLE_DEG, LOOSE_WILD_ANGLE_DEG, WILD_SHARE = 8.0, 45.0, 0.3

# What the landmarker gets wrong, in eye distances: each point alone, and all of them together.
POINT_ERROR, COMMON_SHIFT, COMMON_SCALE, COMMON_ANGLE_DEG = 0.02, 0.03, 0.04, 3.0

DECA_SHIFT, DECA_SCALE = 0.04, 0.08  # in sides of the crop

MAX_NEGATIVE_IOU = 0.1
_NEGATIVE_SIDE = (0.2, 0.7)  # of a window without a face, in sides of the photograph
_TRIES = 50


def eye_distance(landmarks_68: NDArray[Any]) -> float:
    """Pixels between the outer corners of the eyes, as 300-W measures errors in."""
    return float(np.linalg.norm(landmarks_68[45] - landmarks_68[36]))


def loose_window(landmarks_68: NDArray[Any], rng: np.random.Generator) -> Array:
    """A square about a face, as the landmarker may be given it.

    Args:
        landmarks_68: (68, 2) pixels of the image.
        rng: source of the detector's errors.

    Returns:
        (2, 3) window of 128 x 128 pixels.
    """
    points = np.asarray(landmarks_68, np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    side = float(rng.uniform(*LOOSE_MARGIN) * (high - low).max())
    centre = (low + high) / 2 + rng.uniform(-LOOSE_SHIFT, LOOSE_SHIFT, 2) * side
    x, y = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    is_wild = rng.random() < WILD_SHARE
    turn = (
        rng.uniform(-LOOSE_WILD_ANGLE_DEG, LOOSE_WILD_ANGLE_DEG)
        if is_wild
        else rng.normal(0.0, LOOSE_ANGLE_DEG)
    )
    return square(centre, side, math.atan2(y, x) + math.radians(turn), LOOSE_SIZE_PX)


def window_without_face(
    image_px: int, landmarks_68: NDArray[Any] | None, rng: np.random.Generator
) -> Array:
    """A square that shows no whole face: background, or a part of a head.

    Args:
        image_px: side of the image.
        landmarks_68: (68, 2) of the face in it; None where it has none.
        rng: source of the choice.

    Returns:
        (2, 3) window of 128 x 128 pixels; its overlap with the box of the landmarks is below 0.1 of
        their union.
    """
    window = np.zeros((2, 3))
    for attempt in range(_TRIES):
        # Small ones fit beside every face, so the tries shrink until one does.
        side = image_px * float(rng.uniform(*_NEGATIVE_SIDE)) * 0.95**attempt
        centre = rng.uniform(0, image_px, 2)
        angle = math.radians(rng.uniform(-LOOSE_WILD_ANGLE_DEG, LOOSE_WILD_ANGLE_DEG))
        window = square(centre, side, angle, LOOSE_SIZE_PX)
        if landmarks_68 is None or _iou(centre, side, landmarks_68) < MAX_NEGATIVE_IOU:
            break
    return window


def jittered_points(landmarks: NDArray[Any], rng: np.random.Generator) -> Array:
    """(5, 2) landmarks as a landmarker would have found them."""
    points = np.asarray(landmarks, np.float64)
    centre = points.mean(axis=0)
    unit = float(np.linalg.norm(points[1] - points[0]))
    angle = math.radians(rng.normal(0.0, COMMON_ANGLE_DEG))
    scale = math.exp(rng.normal(0.0, COMMON_SCALE))
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    errors = rng.normal(0.0, POINT_ERROR, (5, 2)) + rng.normal(0.0, COMMON_SHIFT, 2)
    jittered: Array = (points - centre) @ turn.T + centre + errors * unit
    return jittered


def aligned_crop(image_rgb: NDArray[np.uint8], landmarks: NDArray[Any]) -> NDArray[np.uint8]:
    """(112, 112, 3) uint8: `mien_server.alignment.crop_face`, rows first and rounded."""
    return _on_template(image_rgb, landmarks, ALIGNED_SIZE_PX)


def generator_crop(image_rgb: NDArray[np.uint8], landmarks: NDArray[Any]) -> NDArray[np.uint8]:
    """(128, 128, 3) uint8 about the recogniser's crop, which is a part of it and no smaller.

    That part is `RECOGNIZER_ROWS` by `RECOGNIZER_COLUMNS`: the two crops have one scale, this one
    shows 8 px more on the left and right and 16 px more below.
    """
    return _on_template(image_rgb, landmarks, GENERATED_SIZE_PX)


def deca_window(landmarks_68: NDArray[Any], rng: np.random.Generator | None = None) -> Array:
    """DECA's square about a face.

    Args:
        landmarks_68: (68, 2) pixels of the image.
        rng: source of errors of the landmarks' box; None for the exact square.

    Returns:
        (2, 3) window of 224 x 224 pixels, never turned.
    """
    window = deca_window_from_landmarks(landmarks_68)
    if rng is None:
        return window
    scale = math.exp(rng.uniform(-DECA_SCALE, DECA_SCALE))
    middle = DECA_SIZE_PX / 2
    shift = middle - scale * middle + rng.uniform(-DECA_SHIFT, DECA_SHIFT, 2) * DECA_SIZE_PX
    jittered: Array = scale * window
    jittered[:, 2] += shift
    return jittered


def camera_in_crop(
    camera: NDArray[Any], crop_from_image: Array, image_px: int, crop_px: int
) -> Array:
    """The camera of a crop that is not turned, from that of its photograph.

    A point that the photograph's camera puts on a pixel is put by the crop's camera on the pixel
    that the window moves it to.

    Args:
        camera: (3,) s, tx, ty relative to the photograph.
        crop_from_image: (2, 3) uniform scale and shift.
        image_px: side of the square photograph.
        crop_px: side of the crop.

    Returns:
        (3,) s, tx, ty relative to the crop.

    Raises:
        ValueError: the window turns or stretches.
    """
    scale = float(crop_from_image[0, 0])
    if not np.allclose(crop_from_image[:, :2], scale * np.eye(2), atol=1e-9 * max(scale, 1.0)):
        raise ValueError(
            f"the window {crop_from_image[:, :2].tolist()} turns or stretches; a camera knows only "
            "scale and shift, so crop without turning"
        )
    s, tx, ty = (float(value) for value in camera)
    # In the -1..1 of either image: crop = ratio * image + offset.
    ratio = scale * image_px / crop_px
    offset = ratio - 1 + 2 * crop_from_image[:, 2] / crop_px
    s_crop = s * ratio
    return np.array([s_crop, tx + offset[0] / s_crop, ty - offset[1] / s_crop])


def _iou(centre: Array, side: float, landmarks_68: NDArray[Any]) -> float:
    """Of the window, taken as upright, and the box of the landmarks."""
    low, high = landmarks_68.min(axis=0), landmarks_68.max(axis=0)
    overlap = np.minimum(high, centre + side / 2) - np.maximum(low, centre - side / 2)
    common = float(np.prod(np.clip(overlap, 0, None)))
    return common / (side**2 + float(np.prod(high - low)) - common)


def _on_template(
    image_rgb: NDArray[np.uint8], landmarks: NDArray[Any], size: int
) -> NDArray[np.uint8]:
    crop = crop_face(image_rgb, np.asarray(landmarks, np.float64), size)
    return np.ascontiguousarray(crop.transpose(1, 2, 0)).astype(np.uint8)
