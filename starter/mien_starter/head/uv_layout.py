# SPDX-License-Identifier: Apache-2.0
"""The UV layout of the head: the source's islands, upright, with more room for the face.

The source gives the face a small part of a picture made for a whole body. Here the skin island is
turned upright and stretched along each axis by a monotone map, which keeps it free of overlaps,
and the small islands stand in a strip below. UV runs from 0 to 1, v up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

Array = npt.NDArray[Any]
Rectangle = tuple[float, float, float, float]  # left, bottom, right, top

SKIN: Rectangle = (0.004, 0.176, 0.996, 0.996)
EYE_LEFT: Rectangle = (0.170, 0.008, 0.320, 0.158)
EYE_RIGHT: Rectangle = (0.008, 0.008, 0.158, 0.158)
MOUTH: Rectangle = (0.335, 0.008, 0.500, 0.158)
TEETH_UPPER: Rectangle = (0.515, 0.090, 0.735, 0.158)
TEETH_LOWER: Rectangle = (0.515, 0.008, 0.735, 0.076)
NECK: Rectangle = (0.750, 0.090, 0.890, 0.158)
TONGUE: Rectangle = (0.750, 0.008, 0.890, 0.076)
SOCKET_LEFT: Rectangle = (0.905, 0.090, 0.990, 0.158)
SOCKET_RIGHT: Rectangle = (0.905, 0.008, 0.990, 0.076)

# Share of the skin picture's width and height that a share of the island gets: (island, picture).
ACROSS = (
    (0.0, 0.0),
    (0.19, 0.08),
    (0.345, 0.17),
    (0.43, 0.33),
    (0.5, 0.5),
    (0.57, 0.67),
    (0.655, 0.83),
    (0.81, 0.92),
    (1.0, 1.0),
)
UPWARDS = (
    (0.0, 0.0),
    (0.13, 0.09),
    (0.25, 0.26),
    (0.42, 0.53),
    (0.55, 0.78),
    (0.70, 0.88),
    (1.0, 1.0),
)


def place(points: Array, rectangle: Rectangle) -> Array:
    """(N, 2) points of the unit square into a rectangle of the layout."""
    left, bottom, right, top = rectangle
    return np.asarray([left, bottom] + points * np.array([right - left, top - bottom]))


def unit_box(points: Array) -> Array:
    """(N, 2) points stretched so that their bounding box is the unit square."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / (high - low))


def upright_skin(points: Array) -> Array:
    """(N, 2) source UV of the skin island, in the unit square, upright and stretched."""
    box = unit_box(points)
    turned = np.stack([box[:, 1], 1.0 - box[:, 0]], axis=1)
    return np.stack([_stretch(turned[:, 0], ACROSS), _stretch(turned[:, 1], UPWARDS)], axis=1)


def _stretch(values: Array, knots: tuple[tuple[float, float], ...]) -> Array:
    at, to = zip(*knots, strict=True)
    return np.asarray(PchipInterpolator(at, to)(np.clip(values, 0.0, 1.0)))
