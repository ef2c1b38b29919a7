# SPDX-License-Identifier: Apache-2.0
"""What people do with their faces at given intensities of emotions, as codes of a head.

Letters  N people or samples, A facial actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.head_model import HeadModel
from mien_export.networks.emotion_mlp import EMOTIONS, NUM_EMOTION_EXPRESSION

__all__ = ["actions_shown", "codes_of_actions", "draw_intensities", "head_codes"]

Array = NDArray[Any]

GLOBAL, JAW = slice(0, 3), slice(6, 9)  # of a pose of 15
# Of samples with one emotion and with two; the rest have any of them, up to all six at once.
_ONE, _TWO = 0.45, 0.40


def actions_shown(gains: Array, paces: Array, emotions: Array) -> Array:
    """Facial actions of people who show several emotions at once.

    An emotion grows as a power of its intensity, and no action goes beyond 1. Where two emotions
    use one action, what each leaves undone is multiplied: together they do more than either, and
    never more than all.

    Args:
        gains: (..., 6, A) intensity of each action where an emotion is shown in full.
        paces: (..., 6) exponents, above 0.
        emotions: (..., 6) intensities, 0 to 1.

    Returns:
        (..., A) intensities, 0 to 1.
    """
    grown = (emotions**paces)[..., None] * gains
    return np.asarray(1 - np.prod(1 - np.clip(grown, 0, 1), axis=-2))


def codes_of_actions(head: HeadModel, actions: Array) -> Array:
    """(..., 56) codes of (..., A) actions: 50 of expression, then global pose and jaw, radians."""
    expression = actions @ head.expression_from_actions[:NUM_EMOTION_EXPRESSION].T
    pose = actions @ head.pose_from_actions.T
    parts = [expression, pose[..., GLOBAL], pose[..., JAW]]
    found: NDArray[np.float32] = np.concatenate(parts, axis=-1).astype(np.float32)
    return found


def head_codes(codes: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """From (N, 56) codes to what a head decoder takes: (N, 100) expression and (N, 15) pose."""
    expression = np.zeros((len(codes), 100), np.float32)
    pose = np.zeros((len(codes), 15), np.float32)
    expression[:, :NUM_EMOTION_EXPRESSION] = codes[:, :NUM_EMOTION_EXPRESSION]
    pose[:, GLOBAL] = codes[:, NUM_EMOTION_EXPRESSION : NUM_EMOTION_EXPRESSION + 3]
    pose[:, JAW] = codes[:, NUM_EMOTION_EXPRESSION + 3 :]
    return expression, pose


def draw_intensities(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(N, 6) sliders as people may set them: often one, often two, now and then more."""
    kind = rng.random(count)
    order = np.argsort(rng.random((count, len(EMOTIONS))), axis=1)  # a random rank of each
    how_many = np.where(kind < _ONE, 1, np.where(kind < _ONE + _TWO, 2, 0))
    any_number = rng.integers(3, len(EMOTIONS) + 1, count)
    how_many = np.where(how_many == 0, any_number, how_many)
    values = rng.random((count, len(EMOTIONS)))
    return np.where(order < how_many[:, None], values, 0.0).astype(np.float32)
