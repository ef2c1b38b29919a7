# SPDX-License-Identifier: Apache-2.0
"""Gives the albedo model the skin colour of the photograph.

Reinhard et al. 2001, *Color Transfer between Images*: mean and spread of three decorrelated
channels. The channels are the opponent ones of the logarithm of RGB (Ruderman et al. 1998), whose
shifts are gains, so that lips and brows keep their contrast to the skin.

Letters  S side of the texture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["matched_colours", "opponent", "rgb_from_opponent"]

Array = NDArray[Any]

# Brightness, blue to yellow, green to red; rows are orthonormal.
_TO_OPPONENT = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]], np.float32)
_TO_OPPONENT /= np.linalg.norm(_TO_OPPONENT, axis=1, keepdims=True)
_BLACK = np.float32(0.02)  # keeps the logarithm of what is dark within bounds

MAX_SPREAD = 1.35  # ratio of spreads, either way
TRIM = 2.5  # standard deviations within which a texel is believed to be skin
RELIABLE = 0.5  # weight
MIN_TEXELS = 64


def opponent(colours: Array) -> Array:
    """(..., 3) opponent channels of the logarithm of (..., 3) RGB 0..1."""
    channels: Array = np.log(np.maximum(colours, 0) + _BLACK) @ _TO_OPPONENT.T
    return channels


def rgb_from_opponent(channels: Array) -> Array:
    """The inverse of `opponent`."""
    colours: Array = np.exp(channels @ _TO_OPPONENT) - _BLACK
    return colours


def matched_colours(model: Array, seen: Array, weight: Array, skin: Array) -> NDArray[np.float32]:
    """The model's albedo in the colours of the photograph's.

    Args:
        model: (S, S, 3) RGB 0..1.
        seen: (S, S, 3) RGB, albedo as the photograph shows it.
        weight: (S, S) 0..1, how far that can be relied on.
        skin: (S, S) 0..1, how much of a texel is matched: eyes and teeth are not.

    Returns:
        (S, S, 3) 0..1; the model itself where the photograph shows too little.
    """
    reliable = np.flatnonzero(weight.ravel() > RELIABLE)
    if len(reliable) < MIN_TEXELS:
        return model.astype(np.float32)
    some = reliable[:: max(1, len(reliable) // 20000)]
    painted = opponent(model.reshape(-1, 3)[some])
    shown = opponent(seen.reshape(-1, 3)[some])
    ours = _skin_like(painted) & _skin_like(shown)
    spread = (shown[ours].std(axis=0) + 0.01) / (painted[ours].std(axis=0) + 0.01)
    spread = np.clip(spread, 1 / MAX_SPREAD, MAX_SPREAD)
    middle, target = painted[ours].mean(axis=0), shown[ours].mean(axis=0)
    changed = rgb_from_opponent((opponent(model) - middle) * spread + target)
    mixed = model + (changed - model) * skin[..., None]
    return np.asarray(mixed.clip(0, 1), np.float32)


def _skin_like(channels: Array) -> NDArray[np.bool_]:
    """Which of (N, 3) colours are near the common one: not brows, lashes, nostrils, highlights."""
    middle = np.median(channels, axis=0)
    spread = 1.4826 * np.median(np.abs(channels - middle), axis=0) + 0.01
    near: NDArray[np.bool_] = (np.abs(channels - middle) < TRIM * spread).all(axis=1)
    return near
