# SPDX-License-Identifier: Apache-2.0
"""Several photographs of one person to one: of each texel, what the best of them shows.

Letters  S side of the texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.projection import Samples

__all__ = ["merged"]

Array = NDArray[Any]

# Means over photographs that are not quite registered are blurred; a high power picks rather than
# mixes, but still without a seam.
PICKING = 4


def merged(samples: Sequence[Samples]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Merge samples of albedo.

    A photograph counts by its weight, and by its resolution next to that of the sharpest one.

    Args:
        samples: one or more, of one texture size, without their light.

    Returns:
        (S, S, 3) colour and (S, S) weight, the largest there is.

    Raises:
        ValueError: there are none.
    """
    if not samples:
        raise ValueError("there are no samples to merge; send at least one photograph")
    if len(samples) == 1:
        return samples[0].colour, samples[0].weight
    sharpest = max(each.pixels_per_metre for each in samples)
    colour = np.zeros_like(samples[0].colour)
    total = np.full(samples[0].weight.shape, 1e-12, np.float32)
    for each in samples:
        share = (each.weight * np.float32(each.pixels_per_metre / sharpest)) ** PICKING
        colour += np.where(share[..., None] > 0, each.colour, 0) * share[..., None]
        total += share
    weight = np.max([each.weight for each in samples], axis=0)
    return colour / total[..., None], np.asarray(weight, np.float32)
