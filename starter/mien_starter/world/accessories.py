# SPDX-License-Identifier: Apache-2.0
"""Things in front of a face: glasses, sunglasses, a mask, a hand; drawn from the landmarks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def draw_accessory(
    image: Array, skin: Array, kind: str, landmarks_68: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw one accessory.

    Args:
        image: (H, W, 3) float32 RGB.
        skin: (H, W) float32 share of visible skin.
        kind: "none", "glasses", "sunglasses", "mask" or "hand".
        landmarks_68: (68, 2) pixels.
        rng: of its looks.

    Returns:
        The image and what skin is still visible.
    """
    if kind == "none":
        return image, skin
    ours = np.zeros(image.shape[:2], np.float32)
    colour = rng.uniform(0.02, 0.9, 3) * rng.uniform(0.2, 1.0)
    if kind in ("glasses", "sunglasses"):
        image, ours = _glasses(image, ours, landmarks_68, colour, is_dark=kind == "sunglasses")
    elif kind == "mask":
        points = np.vstack([landmarks_68[2:15], landmarks_68[28:29]])
        ours = _filled(ours, points)
        light = np.clip(image.mean(axis=2, keepdims=True) * 1.4, 0.2, 1.0)
        image = image + (colour * 0.4 + 0.5 - image) * ours[..., None] * light
    else:
        centre = landmarks_68[int(rng.choice([4, 8, 12, 48, 54]))] + rng.normal(0, 4, 2)
        size = np.ptp(landmarks_68[:, 1]) * rng.uniform(0.15, 0.3, 2)
        ours = _ellipse(ours, centre, size, float(rng.uniform(0, 180)))
        image = image + (colour - image) * ours[..., None]
    return image, skin * (1 - ours)


def _glasses(
    image: Array, cover: Array, points: Array, colour: Array, *, is_dark: bool
) -> tuple[Array, Array]:
    eyes = [points[36:42], points[42:48]]
    middles = [eye.mean(axis=0) for eye in eyes]
    apart = float(np.linalg.norm(middles[1] - middles[0]))
    angle = float(np.rad2deg(np.arctan2(*(middles[1] - middles[0])[::-1])))
    width = max(1, round(apart * 0.045))
    frame = cover.copy()
    glass = cover.copy()
    for eye, middle, outer in zip(eyes, middles, (points[0], points[16]), strict=True):
        # A turned head shows one lens narrower, as it does the eye.
        half = np.array([max(np.ptp(eye[:, 0]) * 0.85, apart * 0.12), apart * 0.26])
        glass = np.maximum(glass, _ellipse(cover.copy(), middle, half, angle))
        frame = np.maximum(frame, _ellipse(cover.copy(), middle, half, angle, width))
        side = middle + (outer - middle) * 0.55
        cv2.line(frame, _whole(side), _whole(outer), 1.0, width, cv2.LINE_AA)
    cv2.line(frame, _whole(points[39]), _whole(points[42]), 1.0, width, cv2.LINE_AA)
    if is_dark:
        image = image + (0.06 - image) * (0.92 * glass)[..., None]
    image = image + (colour - image) * frame[..., None]
    return image, np.maximum(frame, glass) if is_dark else frame


def _filled(mask: Array, points: Array) -> Array:
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1.0, cv2.LINE_AA)
    return mask


def _ellipse(mask: Array, centre: Array, half: Array, angle: float, width: int = -1) -> Array:
    axes = tuple(np.maximum(1, np.round(half)).astype(int).tolist())
    cv2.ellipse(mask, _whole(centre), axes, angle, 0, 360, 1.0, width, cv2.LINE_AA)
    return mask


def _whole(point: Array) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
