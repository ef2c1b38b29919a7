# SPDX-License-Identifier: Apache-2.0
"""Masks painted on a front view of the mean head, read back at texels.

The front view is orthographic: `PX_PER_MM` pixels a millimetre, x to the right, y up in millimetres
and down in rows. Masks are float32 in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, splev, splprep

from mien_starter.head.landmarks import BROW, EYE, LIPS_OUTER

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.float32]

PX_PER_MM = 6.0
LEFT_MM, RIGHT_MM, BOTTOM_MM, TOP_MM = -100.0, 100.0, -140.0, 140.0
SHAPE = (int((TOP_MM - BOTTOM_MM) * PX_PER_MM), int((RIGHT_MM - LEFT_MM) * PX_PER_MM))

# The seam between the closed lips, image-left to image-right, millimetres.
MOUTH_SEAM = ((-24.5, -58.4), (-12.0, -57.4), (0.0, -57.6), (12.0, -57.4), (24.5, -58.4))


def grid_mm() -> tuple[Array, Array]:
    """X and y in millimetres of every pixel of the front view."""
    x = LEFT_MM + (np.arange(SHAPE[1]) + 0.5) / PX_PER_MM
    y = TOP_MM - (np.arange(SHAPE[0]) + 0.5) / PX_PER_MM
    across, down = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return across, down


def pixels(points_mm: Sequence[tuple[float, float]] | Array) -> Array:
    """(N, 2) pixels of points in millimetres."""
    points = np.asarray(points_mm, dtype=np.float64)
    return np.stack(
        [(points[:, 0] - LEFT_MM) * PX_PER_MM, (TOP_MM - points[:, 1]) * PX_PER_MM], axis=1
    )


def blurred(mask: Array, deviation_mm: float) -> Mask:
    """Gaussian blur."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), deviation_mm * PX_PER_MM))


def polygon(points_mm: Sequence[tuple[float, float]] | Array, blur_mm: float) -> Mask:
    """A filled polygon through smoothed points, with a soft edge."""
    mask = np.zeros(SHAPE, np.float32)
    cv2.fillPoly(mask, [np.round(pixels(smooth_loop(points_mm))).astype(np.int32)], 1.0, cv2.LINE_8)
    return blurred(mask, blur_mm)


def smooth_loop(points_mm: Sequence[tuple[float, float]] | Array, count: int = 200) -> Array:
    """(count, 2) points of the closed spline through the given ones."""
    points = np.asarray(points_mm, dtype=np.float64)
    closed = np.vstack([points, points[:1]])
    spline, _ = splprep(closed.T, s=2.0, per=True)
    return np.stack(splev(np.linspace(0, 1, count), spline), axis=1)


def line(points_mm: Sequence[tuple[float, float]] | Array, width_mm: float, blur_mm: float) -> Mask:
    """A soft open line."""
    mask = np.zeros(SHAPE, np.float32)
    path = np.round(pixels(points_mm)).astype(np.int32)
    cv2.polylines(mask, [path], False, 1.0, max(1, round(width_mm * PX_PER_MM)), cv2.LINE_AA)
    return blurred(mask, blur_mm)


def bell(x_mm: float, y_mm: float, across_mm: float, along_mm: float) -> Mask:
    """An elliptical Gaussian spot, and its mirror image unless it is in the middle."""
    x, y = grid_mm()
    spot = np.exp(-0.5 * (((x - x_mm) / across_mm) ** 2 + ((y - y_mm) / along_mm) ** 2))
    if x_mm:
        spot = spot + spot[:, ::-1]
    return np.asarray(np.clip(spot, 0, 1), np.float32)


def mirrored(mask: Mask) -> Mask:
    """The mask and its mirror image."""
    return np.maximum(mask, mask[:, ::-1])


def lips() -> Mask:
    """Both lips."""
    return polygon(LIPS_OUTER, 0.5)


@dataclass(frozen=True)
class BrowShape:
    """A kind of brow.

    Attributes:
        thickness_mm: at the thickest place.
        arch_mm: how much the outer third is raised.
        hairs: strokes in one brow.
    """

    thickness_mm: float
    arch_mm: float
    hairs: int


def brows(shape: BrowShape, rng: np.random.Generator) -> Mask:
    """Two brows of single hairs, mirror images of each other.

    Args:
        shape: of both.
        rng: of the hairs.
    """
    path = np.array(BROW)
    spline = CubicSpline(np.linspace(0, 1, len(path)), path)
    mask = np.zeros(SHAPE, np.float32)
    for _ in range(shape.hairs):
        at = rng.uniform(0, 1) ** 0.9
        x, y = spline(at)
        half = shape.thickness_mm / 2 * (0.35 + 0.65 * np.sin(np.pi * (0.15 + 0.75 * at)))
        y += shape.arch_mm * np.exp(-0.5 * ((at - 0.35) / 0.2) ** 2) + rng.normal(0, 0.45) * half
        lean = np.deg2rad(np.interp(at, [0, 0.6, 1], [200, 165, 105]) + rng.normal(0, 12))
        length = rng.uniform(3.0, 6.0) * (0.7 + 0.3 * at)
        end = (x + length * np.cos(lean), y + 0.55 * length * abs(np.sin(lean)) - 0.8 * (1 - at))
        stroke = np.round(pixels([(x, y), end])).astype(np.int32)
        cv2.line(mask, stroke[0].tolist(), stroke[1].tolist(), 1.0, 3, cv2.LINE_AA)
    return mirrored(np.clip(blurred(mask, 0.35), 0, 1))


def lashes() -> tuple[Mask, Mask]:
    """The upper and the lower lash line."""
    outer, above_outer, above_inner, inner, below_inner, below_outer = EYE
    upper = line([outer, above_outer, above_inner, inner], 1.6, 0.4)
    lower = line([outer, below_outer, below_inner, inner], 0.9, 0.45)
    return mirrored(upper), mirrored(lower)


def at_points(mask: Mask, x_m: Array, y_m: Array) -> Mask:
    """Values of a mask at points of the front view in metres, bilinearly, 0 outside."""
    column = ((x_m * 1000 - LEFT_MM) * PX_PER_MM - 0.5).astype(np.float32)
    row = ((TOP_MM - y_m * 1000) * PX_PER_MM - 0.5).astype(np.float32)
    # Texels are coarser than the front view: blur what they cannot show.
    return np.asarray(cv2.remap(blurred(mask, 0.22), column, row, cv2.INTER_LINEAR))
