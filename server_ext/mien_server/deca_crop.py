# SPDX-License-Identifier: Apache-2.0
"""The 224 crop that DECA's encoders see: loose, upright, by DECA's own rule.

Feng et al. 2021, the released `decalib/datasets`: a square about the face, 1.25 times a size that
is measured on 68 landmarks or, less well, on a detector's box. As there, the square's corners are
the centres of the crop's corner pixels, so that it spans 223 pixels, and its size is cut to whole
pixels. Points are as in `mien_server.warping`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.warping import square

__all__ = ["DECA_SIZE_PX", "deca_window_from_box", "deca_window_from_landmarks"]

DECA_SIZE_PX = 224

CROP_MARGIN = 1.25
LANDMARKS_MARGIN = 1.1  # landmarks leave the forehead out
BOX_SHIFT = 0.12  # detectors' boxes sit higher than the landmarks do, in sizes of the box

Array = NDArray[np.float64]


def deca_window_from_landmarks(landmarks_68: NDArray[Any]) -> Array:
    """(2, 3) `crop_from_image` about the bounding box of (68, 2) landmarks in the image."""
    points = np.asarray(landmarks_68, np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return _window((low + high) / 2, float((high - low).mean()) * LANDMARKS_MARGIN)


def deca_window_from_box(box_xyxy: NDArray[Any]) -> Array:
    """(2, 3) `crop_from_image` about a (4,) detector's box, where there are no landmarks."""
    low, high = np.asarray(box_xyxy, np.float64).reshape(2, 2)
    size = float((high - low).mean())
    return _window((low + high) / 2 + (0.0, BOX_SHIFT * size), size)


def _window(centre: Array, size: float) -> Array:
    side = max(int(size * CROP_MARGIN), 1)
    return square(centre, side * DECA_SIZE_PX / (DECA_SIZE_PX - 1), 0.0, DECA_SIZE_PX)
