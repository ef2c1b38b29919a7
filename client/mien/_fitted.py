# SPDX-License-Identifier: Apache-2.0
"""A head fitted to a face. Coordinates are those of `mien._types`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._types import Face, rows_to_json

__all__ = ["FittedFace"]


@dataclass(frozen=True, slots=True, eq=False)
class FittedFace:
    """A head model in the shape, expression and pose of a face, with its colours and its light.

    The codes are DECA's 236 (Feng et al. 2021): the first 100 of `shape`, then `texture`,
    `expression`, `pose`, `camera` and `light`. Arrays are float32 and read-only.

    Attributes:
        codes: (236,) in DECA's order.
        shape: (300,) identity components of the head model, in standard deviations.
        vertices: (V, 3) metres, of the posed head: x to the image's right, y up, z to the viewer.
        vertices_px: (V, 3) the same in pixels of the image; z away from the viewer, same scale.
        face: the face it was fitted to, with the five landmarks that were found.
        landmarks_68: (68, 2) landmarks found in the image, iBUG 300-W order; NaN where the server
            has no landmarker.
        fitted_landmarks_68: (68, 2) where the fitted head has them.
        overlay: PNG of the image, at most 1024 pixels long, with the head over it; None where it
            was not asked for.
        untrained: the weights are random: the fit means nothing.
        request_id: what the server's log carries.
    """

    codes: NDArray[np.float32]
    shape: NDArray[np.float32]
    vertices: NDArray[np.float32]
    vertices_px: NDArray[np.float32]
    face: Face
    landmarks_68: NDArray[np.float32]
    fitted_landmarks_68: NDArray[np.float32]
    overlay: bytes | None
    untrained: bool
    request_id: str

    @property
    def texture(self) -> NDArray[np.float32]:
        """(50,) components of the albedo."""
        return self.codes[100:150]

    @property
    def expression(self) -> NDArray[np.float32]:
        """(50,) expression components."""
        return self.codes[150:200]

    @property
    def pose(self) -> NDArray[np.float32]:
        """(6,) axis-angle in radians: 3 of the whole head, 3 of the jaw."""
        return self.codes[200:206]

    @property
    def camera(self) -> NDArray[np.float32]:
        """(3,) s, tx, ty of the orthographic camera that looks at the crop of the face."""
        return self.codes[206:209]

    @property
    def light(self) -> NDArray[np.float32]:
        """(9, 3) spherical-harmonics coefficients per RGB channel."""
        return self.codes[209:236].reshape(9, 3)

    @property
    def landmark_error_px(self) -> float | None:
        """Mean distance of the fitted from the found landmarks, in pixels; None without those."""
        distances = np.linalg.norm(self.fitted_landmarks_68 - self.landmarks_68, axis=1)
        return float(distances.mean()) if np.isfinite(distances).all() else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the overlay; numbers that are NaN become null."""
        return {
            "shape": self.shape.tolist(),
            "texture": self.texture.tolist(),
            "expression": self.expression.tolist(),
            "pose": self.pose.tolist(),
            "camera": self.camera.tolist(),
            "light": self.light.tolist(),
            "vertices": self.vertices.tolist(),
            "vertices_px": self.vertices_px.tolist(),
            "landmarks_68": rows_to_json(self.landmarks_68),
            "fitted_landmarks_68": rows_to_json(self.fitted_landmarks_68),
            "landmark_error_px": self.landmark_error_px,
            "untrained": self.untrained,
            "face": self.face.to_dict(),
            "request_id": self.request_id,
        }
