# SPDX-License-Identifier: Apache-2.0
"""What every detector returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alignment", "Detection", "FaceDetector"]

Alignment = Literal["landmarks", "eyes", "box"]


@dataclass(frozen=True, slots=True)
class Detection:
    """One face.

    Attributes:
        box_xyxy: (4,) float64 pixels, half-open.
        landmarks: (5, 2) float64 pixels, in the order of `mien_server.alignment`.
        score: higher is surer; comparable only within one detector.
        alignment: what the landmarks rest on: all five found, two eyes found, or the box alone.
        landmarks_68: (68, 2) float64 pixels in iBUG order, or None: no landmarker was asked.
        face_score: the landmarker's own opinion whether this is a face, 0..1; None likewise.
    """

    box_xyxy: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    score: float
    alignment: Alignment
    landmarks_68: NDArray[np.float64] | None = None
    face_score: float | None = None

    @property
    def area(self) -> float:
        """Pixels squared."""
        left, top, right, bottom = self.box_xyxy
        return float((right - left) * (bottom - top))


class FaceDetector(Protocol):
    """Finds the faces of several images at once."""

    def detect(
        self, images_rgb: Sequence[NDArray[np.uint8]], *, thorough: Sequence[bool]
    ) -> list[list[Detection]]:
        """Faces of each image, largest first.

        Args:
            images_rgb: (H, W, 3) uint8 each, of any size.
            thorough: per image, whether small faces beside a large one must be found too.
        """
        ...
