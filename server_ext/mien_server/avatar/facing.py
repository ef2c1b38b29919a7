# SPDX-License-Identifier: Apache-2.0
"""How far a fitted head is turned away, and which heads are turned too far to be fitted."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError

__all__ = ["check_facing", "yaw_deg"]

Array = NDArray[Any]


def yaw_deg(codes: Array) -> float:
    """How far (236,) DECA's codes have the head turned, degrees.

    A head turns, then nods, then tilts: of these three, the first. Positive turns the face to the
    image's right; 0 looks into the camera, up or down as it may be.
    """
    turn, _ = cv2.Rodrigues(np.asarray(codes[CODE_PARTS["pose"]][:3], np.float64))
    return float(np.rad2deg(np.arctan2(-turn[2, 0], turn[2, 2])))


def check_facing(codes: Array, max_yaw_deg: float) -> None:
    """Refuse photographs of faces that the networks behind a fit do not know.

    Args:
        codes: (N, 236) of each photograph.
        max_yaw_deg: a face may be turned to either side.

    Raises:
        ServingError: FACE_TURNED_AWAY: the angle that was found, the limit, and what to do.
    """
    for number, row in enumerate(codes, 1):
        yaw = yaw_deg(row)
        if abs(yaw) > max_yaw_deg:
            refusal = ServingError(
                "FACE_TURNED_AWAY",
                f"the face is turned by {abs(yaw):.0f} degrees to the image's "
                f"{'right' if yaw > 0 else 'left'}, and heads are fitted to faces turned by at "
                f"most {max_yaw_deg:g}; send a photograph from nearer the front",
            )
            several = len(codes) > 1
            raise refusal.about(f"image {number} of {len(codes)}") if several else refusal
