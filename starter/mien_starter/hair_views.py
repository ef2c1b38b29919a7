# SPDX-License-Identifier: Apache-2.0
"""Orientation maps of strands as photographs of them would give them, and what they show.

The head is turned, and its landmarks frame the view by the rule of the portrait crop.

Letters  V vertices, F triangles, S hairs, P points of each, K steps of a strand; 32 x 32 cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.portrait_crop import PORTRAIT_SIZE_PX, portrait_window_from_landmarks
from mien_server.rendering.camera import pixels_from_image, project
from mien_starter.groom_making import StyleView
from mien_starter.grooms import STEP_POINTS
from mien_starter.hair.orientation_map import drawn_hair
from mien_starter.world.assets import Assets
from mien_starter.world.shot import axis_angle

__all__ = ["HeadView", "head_view", "seen_of"]

Floats = NDArray[np.float64]

# A point is seen if the nearest hair or skin lies no farther before it: hair is as thick, and what
# lies just beneath runs as what is seen.
_COVERED_M = 0.010
_MM = 1000.0


@dataclass(frozen=True, eq=False)
class HeadView:
    """How a head is looked at.

    Attributes:
        turn: (3, 3) from the head's frame to the viewer's.
        shift: (3,) metres, after it.
        camera: (3,) DECA's, of the portrait crop.
        yaw_deg: how far the head is turned, positive to the image's right.
    """

    turn: Floats
    shift: Floats
    camera: NDArray[np.float32]
    yaw_deg: float

    def placed(self, points: ArrayLike) -> NDArray[np.float32]:
        """(..., 3) points of the head as the viewer has them."""
        moved = np.asarray(points, np.float64) @ self.turn.T + self.shift
        return np.asarray(moved, np.float32)

    def projected(self, points: ArrayLike) -> NDArray[np.float32]:
        """(..., 3) points of the head in image space."""
        return project(self.placed(points).reshape(-1, 3), self.camera).reshape(np.shape(points))


def head_view(assets: Assets, yaw_deg: float, pitch_deg: float) -> HeadView:
    """Look at the mean head through the portrait crop about its landmarks.

    Args:
        assets: with the mean head.
        yaw_deg: positive turns the face to the image's right.
        pitch_deg: positive looks down.
    """
    pose = np.zeros(15, np.float32)
    pose[:3] = axis_angle(yaw_deg, pitch_deg, 0.0)
    vertices, landmarks = assets.decode(np.zeros(300, np.float32), np.zeros(100, np.float32), pose)
    rotation, _ = cv2.Rodrigues(pose[:3].astype(np.float64))
    shift = vertices.mean(axis=0) - rotation @ assets.head.v_template.mean(axis=0)
    plane = landmarks[:, :2].astype(np.float64) * (_MM, -_MM)
    window = portrait_window_from_landmarks(plane)
    # The crop is upright by the eyes; so is the head, if it is turned the other way in the plane.
    scale = float(np.hypot(*window[:, 0]))
    cosine, sine = window[0, 0] / scale, window[0, 1] / scale
    level = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    per_metre = 2 * scale * _MM / PORTRAIT_SIZE_PX
    x, y = 2 * window[:, 2] / PORTRAIT_SIZE_PX - 1
    camera = np.array([per_metre, x / per_metre, -y / per_metre], np.float32)
    return HeadView(level @ rotation, level @ shift, camera, yaw_deg)


def seen_of(
    view: HeadView,
    body_vertices: NDArray[np.float64],
    body_faces: NDArray[np.int32],
    hairs: NDArray[np.float32],
    grid: NDArray[np.float32],
) -> StyleView:
    """Draw hair before a body.

    Args:
        view: on both.
        body_vertices: (V, 3) metres.
        body_faces: (F, 3).
        hairs: (S, P, 3) metres, many and fine.
        grid: (32, 32, 100, 4) strands of the scalp, which are asked whether they are seen.
    """
    drawn = drawn_hair(
        view.placed(hairs),
        view.placed(body_vertices),
        body_faces,
        view.camera,
        size=PORTRAIT_SIZE_PX,
    )
    return StyleView(drawn.map_rgb, _seen(view, drawn.depth, grid), view.yaw_deg)


def _seen(
    view: HeadView, depths: NDArray[np.float32], grid: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(32, 32, K) whether the end of a step is the nearest thing at its pixel, or nearly."""
    ends = view.projected(grid[:, :, STEP_POINTS::STEP_POINTS, :3])
    pixels = pixels_from_image(ends, width=PORTRAIT_SIZE_PX, height=PORTRAIT_SIZE_PX)
    column, row = np.moveaxis(np.floor(pixels).astype(np.int64), -1, 0)
    side = PORTRAIT_SIZE_PX
    within = (column >= 0) & (row >= 0) & (column < side) & (row < side)
    depth = depths[np.clip(row, 0, side - 1), np.clip(column, 0, side - 1)]
    before = ends[..., 2] <= depth + _COVERED_M * view.camera[0]
    there = grid.any(axis=(2, 3))[..., None]
    seen: NDArray[np.bool_] = within & before & there
    return seen
