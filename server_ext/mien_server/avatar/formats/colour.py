# SPDX-License-Identifier: Apache-2.0
"""sRGB to linear light (IEC 61966-2-1), in which glTF keeps factors and colours of vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["linear"]


def linear(srgb: ArrayLike) -> NDArray[np.float64]:
    """Light from 0 to 1 of sRGB from 0 to 1."""
    encoded = np.asarray(srgb, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
