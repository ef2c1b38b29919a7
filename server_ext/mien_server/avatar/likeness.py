# SPDX-License-Identifier: Apache-2.0
"""The avatar's face put where the photograph has the person's: what both are compared by.

Letters  V vertices, S side of the texture, R side of the window about the face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.alignment import crop_face
from mien_server.avatar.quality import psnr, ssim
from mien_server.rendering import Topology, make_scene, rgba_images
from mien_server.warping import moved, square, warped

__all__ = ["Likeness", "Sitting", "compared"]

Array = NDArray[Any]

WINDOW_PX = 256
MARGIN = 2.2  # sides of the box of the 68 landmarks
FOREHEAD = 0.1  # of the height of that box, above the brows: higher up there may be hair


@dataclass(frozen=True, slots=True, eq=False)
class Sitting:
    """A photograph, and where the face in it is.

    Attributes:
        image_rgb: (H, W, 3) uint8.
        landmarks: (5, 2) found in it.
        landmarks_68: (68, 2) of the fitted head in it.
        vertices: (V, 3) metres, the head that was fitted, posed as in the photograph.
        vertices_px: (V, 3) the same in pixels of the photograph.
        registered_px: (V, 3) bent onto the landmarks that were found.
    """

    image_rgb: NDArray[np.uint8]
    landmarks: Array
    landmarks_68: Array
    vertices: Array
    vertices_px: Array
    registered_px: Array


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What a photograph and its avatar have in common.

    Attributes:
        psnr: dB over the face; NaN where it is not in the picture.
        ssim: -1..1 over the face; NaN where it has too few pixels.
        crops: (2, 3, 112, 112) float32 for the recogniser: the photograph's face, the avatar's.
        picture: (R, R, 3) uint8, the avatar in its place.
    """

    psnr: float
    ssim: float
    crops: NDArray[np.float32]
    picture: NDArray[np.uint8]


def compared(
    sitting: Sitting, vertices: Array, texture: Array, light: Array, topology: Topology
) -> Likeness:
    """Render the avatar as it is photographed, and put its face into the photograph.

    Args:
        sitting: the photograph.
        vertices: (V, 3) metres, the avatar's head posed as in the photograph.
        texture: (S, S, 3) 0..1.
        light: (9, 3) of the photograph.
        topology: of the head.
    """
    window_from_image = _window(sitting.landmarks_68)
    photograph = warped(sitting.image_rgb, window_from_image, WINDOW_PX)
    camera = _camera(sitting, window_from_image)
    scene = make_scene(
        vertices[None],
        texture.transpose(2, 0, 1)[None],
        camera[None],
        np.asarray(light, np.float32)[None],
        topology,
    )
    rgba = rgba_images(scene, WINDOW_PX)[0]
    rendered = np.rint(rgba[:3].transpose(1, 2, 0) * 255).astype(np.uint8)
    face = _face(moved(window_from_image, sitting.landmarks_68)) & (rgba[3] > 0)
    picture = np.where(face[..., None], rendered, photograph)
    landmarks = moved(window_from_image, sitting.landmarks)
    crops = np.stack([crop_face(image, landmarks, 112) for image in (photograph, picture)])
    within = face & _inside(sitting.image_rgb, window_from_image)
    return Likeness(
        _or_nan(psnr, picture, photograph, within),
        _or_nan(ssim, picture, photograph, within),
        crops,
        picture,
    )


def _window(landmarks_68: Array) -> Array:
    low, high = landmarks_68.min(axis=0), landmarks_68.max(axis=0)
    side = max(float((high - low).max()), 1.0) * MARGIN
    return square((low + high) / 2, side, 0.0, WINDOW_PX)


def _camera(sitting: Sitting, window_from_image: Array) -> NDArray[np.float32]:
    """(3,) s, tx, ty under which the fitted head lies in the window as in the photograph."""
    in_window = moved(window_from_image, sitting.vertices_px[:, :2]) / (WINDOW_PX / 2) - 1
    head = np.asarray(sitting.vertices, np.float64)[:, :2] * (1, -1)
    centre, place = head.mean(axis=0), in_window.mean(axis=0)
    spread = head - centre
    scale = float((spread * (in_window - place)).sum() / (spread * spread).sum())
    shift = place / scale - centre
    return np.array([scale, shift[0], -shift[1]], np.float32)


def _face(landmarks_68: Array) -> NDArray[np.bool_]:
    """(R, R) true within the landmarks, and a little of the forehead."""
    height = float(np.ptp(landmarks_68[:, 1]))
    brows = landmarks_68[17:27] - (0, FOREHEAD * height)
    hull = cv2.convexHull(np.concatenate([landmarks_68, brows]).astype(np.float32))
    mask = np.zeros((WINDOW_PX, WINDOW_PX), np.uint8)
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1)
    return mask > 0


def _inside(image: Array, window_from_image: Array) -> NDArray[np.bool_]:
    """(R, R) true where the photograph reaches."""
    height, width = image.shape[:2]
    ends = moved(window_from_image, np.array([(0, 0), (width, height)]))
    at = np.arange(WINDOW_PX) + 0.5
    across = (at > ends[0, 0]) & (at < ends[1, 0])
    down = (at > ends[0, 1]) & (at < ends[1, 1])
    return np.asarray(down[:, None] & across)


def _or_nan(measure: Any, picture: Array, photograph: Array, mask: Array) -> float:
    try:
        return float(measure(picture, photograph, mask))
    except ValueError:  # too little of the face is in the photograph
        return math.nan
