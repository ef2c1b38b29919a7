# SPDX-License-Identifier: Apache-2.0
"""From probabilities of hair and body to the one person in a portrait."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["person_masks"]

_LIKELY = 0.5


def person_masks(
    masks: NDArray[np.float32],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a person's hair is, and the rest of the person.

    Only the largest connected piece of both together is kept: what is left of others and of the
    background would be taken for hair that floats.

    Args:
        masks: (2, H, W) probabilities of hair and of body, as hair_segmenter gives them.

    Returns:
        (H, W) hair and (H, W) body, which exclude each other; nothing where nobody is.

    Raises:
        ValueError: another shape.
    """
    if masks.ndim != 3 or len(masks) != 2:
        raise ValueError(f"masks are {masks.shape}; expected (2, H, W), hair and body")
    hair, body = masks
    is_hair, is_body = (hair > _LIKELY) & (hair >= body), (body > _LIKELY) & (body > hair)
    person = (is_hair | is_body).astype(np.uint8)
    count, pieces, statistics, _ = cv2.connectedComponentsWithStats(person, connectivity=8)
    if count == 1:
        return is_hair, is_body
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    return is_hair & (pieces == largest), is_body & (pieces == largest)
