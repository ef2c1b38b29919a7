# SPDX-License-Identifier: Apache-2.0
"""DECA's orthographic camera (`decalib/utils/util.py`, `batch_orth_proj`), as pure functions.

A camera is (s, tx, ty): scale in half image widths per metre, and a translation in metres before
scaling. World space is metres, x to the image's right, y up, z towards the viewer; image space is
-1..1, y down, smaller z nearer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["image_from_pixels", "pixels_from_image", "project", "unproject"]


def project(points: ArrayLike, camera: ArrayLike) -> NDArray[np.float32]:
    """World to image space: x' = s (x + tx), y' = -s (y + ty), z' = -s z.

    Args:
        points: (..., N, 3) metres.
        camera: (..., 3), one per set of points, or (3,) for all.

    Returns:
        (..., N, 3) float32, a new array.
    """
    world = np.asarray(points, dtype=np.float32)
    scale, shift = _parts(camera)
    image = world + shift
    image *= scale * np.array([1.0, -1.0, -1.0], np.float32)
    return image


def unproject(points: ArrayLike, camera: ArrayLike) -> NDArray[np.float32]:
    """Image to world space, the inverse of `project`.

    Args:
        points: (..., N, 3) image space.
        camera: (..., 3), one per set of points, or (3,) for all; s must not be 0.

    Returns:
        (..., N, 3) float32 metres, a new array.
    """
    image = np.asarray(points, dtype=np.float32)
    scale, shift = _parts(camera)
    world = image / (scale * np.array([1.0, -1.0, -1.0], np.float32))
    world -= shift
    return world


def pixels_from_image(points: ArrayLike, *, width: int, height: int) -> NDArray[np.float32]:
    """Pixel positions, with pixel i reaching from i to i + 1 and its centre at i + 0.5.

    Args:
        points: (..., 2 or more) image space; only x and y are used.
        width: of the image in pixels.
        height: of the image in pixels.

    Returns:
        (..., 2) float32.
    """
    image = np.asarray(points, dtype=np.float32)[..., :2]
    pixels: NDArray[np.float32] = (image + 1) * (np.array([width, height], np.float32) / 2)
    return pixels


def image_from_pixels(points: ArrayLike, *, width: int, height: int) -> NDArray[np.float32]:
    """Image space of pixel positions, the inverse of `pixels_from_image`.

    Args:
        points: (..., 2) pixels, with the centre of pixel i at i + 0.5.
        width: of the image in pixels.
        height: of the image in pixels.

    Returns:
        (..., 2) float32 in -1..1 inside the image.
    """
    pixels = np.asarray(points, dtype=np.float32)
    image = pixels / (np.array([width, height], np.float32) / 2)
    image -= 1
    return image


def _parts(camera: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale (..., 1, 1) and shift (..., 1, 3) in metres."""
    parameters = np.asarray(camera, dtype=np.float32)
    if parameters.shape[-1:] != (3,):
        raise ValueError(f"camera has shape {parameters.shape}; it must be (..., 3): s, tx, ty")
    shift = np.zeros((*parameters.shape[:-1], 1, 3), np.float32)
    shift[..., 0, :2] = parameters[..., 1:]
    return parameters[..., None, :1], shift
