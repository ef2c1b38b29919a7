# SPDX-License-Identifier: Apache-2.0
"""What of a head the camera sees, and how far that is from the rim of what it sees.

The head is drawn into a z-buffer of its own, whatever the size of the photograph. A point is seen
where nothing lies before it. Points near the head's outline, or beside something nearer, are seen
too, but a fit that is a little off puts them onto the wrong pixels: each point also gets its
distance from such a rim.

Letters  V vertices, F triangles, N points, S side of the z-buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.rendering import rasterize

__all__ = ["HeadSight", "head_sight", "pixels_per_metre"]

Array = NDArray[Any]

SIDE_PX = 384  # of the z-buffer: about 0.8 mm a pixel
FILL = 0.98
# A point of the surface itself may lie this far behind the z-buffer's, besides what slant explains.
DEPTH_TOLERANCE_M = 0.0015
STEEPEST = 6.0  # tangent of the slant up to which that is allowed for
# Where the surface jumps by this much, what lies behind is near a rim, and what lies before it less
# so: a fit that is a little off does more harm to what is half hidden.
STEP_M = 0.004
NEAR_SIDE = 3.0  # how much farther from the step the near side counts

_FAR = np.float32(1e9)


@dataclass(frozen=True, slots=True, eq=False)
class HeadSight:
    """A posed head as its camera sees it.

    Attributes:
        depth: (S, S) float32 z of what is seen, in pixels of the photograph; infinity beside it.
        rim_distance: (S, S) float32 pixels of the photograph to the nearest rim, 0 beside the head.
        scale: z-buffer pixels in a pixel of the photograph.
        origin: (2,) corner of the z-buffer in the photograph.
        pixels_per_metre: of the photograph.
    """

    depth: NDArray[np.float32]
    rim_distance: NDArray[np.float32]
    scale: float
    origin: NDArray[np.float32]
    pixels_per_metre: float

    def seen(self, points: Array, facing: Array) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Whether points of the head's surface are seen, and how far they are from the rim.

        Args:
            points: (H, W, 3) in the photograph, z away from the viewer.
            facing: (H, W) z of the unit normals, 1 where the surface faces the camera.

        Returns:
            (H, W) and (H, W) metres.
        """
        # OpenCV counts pixels by their centres.
        at = ((points[..., :2] - self.origin) * np.float32(self.scale) - 0.5).astype(np.float32)
        nearest = cv2.remap(self.depth, at, None, cv2.INTER_NEAREST, borderValue=np.inf)
        slant = np.sqrt(np.clip(1 - facing**2, 0, 1)) / np.clip(facing, 1 / STEEPEST, 1)
        tolerance = DEPTH_TOLERANCE_M * self.pixels_per_metre + slant / self.scale
        distance = cv2.remap(self.rim_distance, at, None, cv2.INTER_LINEAR, borderValue=0)
        seen = (facing > 0) & (points[..., 2] <= nearest + tolerance)
        return seen, distance / np.float32(self.pixels_per_metre)


def head_sight(vertices: Array, vertices_px: Array, faces: Array) -> HeadSight:
    """Look at a head from where it was photographed.

    Args:
        vertices: (V, 3) metres.
        vertices_px: (V, 3) pixels of the photograph, z away from the viewer in the same scale.
        faces: (F, 3).

    Raises:
        ValueError: a head of no size.
    """
    per_metre = pixels_per_metre(vertices, vertices_px)
    low, high = vertices_px[:, :2].min(axis=0), vertices_px[:, :2].max(axis=0)
    scale = SIDE_PX * FILL / float((high - low).max())
    origin = ((low + high) / 2 - SIDE_PX / (2 * scale)).astype(np.float32)
    placed = np.array(vertices_px, np.float32)
    placed[:, :2] = (placed[:, :2] - origin) * (2 * scale / SIDE_PX) - 1
    raster = rasterize(placed[None], faces, height=SIDE_PX, width=SIDE_PX)
    depth = raster.depth[0]
    rim_distance = _rim_distance(depth, STEP_M * per_metre) / np.float32(scale)
    return HeadSight(depth, rim_distance, scale, origin, per_metre)


def _rim_distance(depth: Array, step: float) -> Array:
    """(S, S) pixels of the z-buffer to the outline, or to a jump of the depth by `step`."""
    inside = np.isfinite(depth)
    # Beside the head everything is far, so its outline is no step of what is on it.
    near = cv2.erode(np.where(inside, depth, _FAR), np.ones((3, 3), np.uint8))
    is_step = inside & (depth - near > step)
    distance: Array = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    if is_step.any():
        to_step, label = cv2.distanceTransformWithLabels(
            (~is_step).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
        )
        near_of_label = np.zeros(int(label.max()) + 1, np.float32)
        near_of_label[label[is_step]] = near[is_step]
        is_behind = depth > near_of_label[label] + step / 2
        distance = np.minimum(distance, np.where(is_behind, to_step, NEAR_SIDE * to_step))
    return distance


def pixels_per_metre(vertices: Array, vertices_px: Array) -> float:
    """The scale that leads from the head to the photograph.

    Raises:
        ValueError: a head of no size, or numbers that are not finite.
    """
    spread = [
        float(np.sqrt(np.square(points - points.mean(axis=0)).sum()))
        for points in (np.asarray(vertices, np.float64), np.asarray(vertices_px, np.float64))
    ]
    if not (np.isfinite(spread).all() and min(spread) > 0):
        raise ValueError(
            f"vertices and vertices_px spread over {spread[0]:.3g} m and {spread[1]:.3g} px; they "
            "must be finite and of some size"
        )
    return spread[1] / spread[0]
