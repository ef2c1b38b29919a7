# SPDX-License-Identifier: Apache-2.0
"""Emotions by name, as sliders have them -> six intensities in the contract's order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from mien._generation_requests import refusal

__all__ = ["EMOTIONS", "Emotions", "emotion_intensities"]

EMOTIONS = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
Emotions: TypeAlias = Mapping[str, float] | Sequence[float]


def emotion_intensities(
    emotions: Emotions | None, named: Mapping[str, float | None]
) -> tuple[float, ...] | None:
    """Six intensities, of `EMOTIONS`, in that order; None where neither argument says any.

    Args:
        emotions: by name, or all six in order.
        named: those that came as arguments of their own; None is one that did not come.

    Raises:
        InvalidOptionError: a name is unknown, an intensity is outside 0..1, one came twice, or a
            sequence holds another number of them.
    """
    given = {name: value for name, value in named.items() if value is not None}
    if emotions is not None and given:
        raise refusal(
            f"both emotions and {', '.join(given)} came; say all of them in one of the two ways"
        )
    if emotions is None and not given:
        return None
    values = given if emotions is None else _by_name(emotions)
    return tuple(_intensity(name, values.get(name, 0.0)) for name in EMOTIONS)


def _by_name(emotions: Emotions) -> Mapping[str, float]:
    allowed = ", ".join(map(repr, EMOTIONS))
    if isinstance(emotions, Mapping):
        unknown = [name for name in emotions if name not in EMOTIONS]
        if unknown:
            raise refusal(f"emotion {unknown[0]!r} is unknown; allowed are {allowed}")
        return emotions
    if isinstance(emotions, str) or np.shape(emotions) != (len(EMOTIONS),):
        raise refusal(
            f"emotions is {emotions!r}; expected intensities by name, such as "
            f"{{'happiness': 0.8}}, or six in the order {allowed}"
        )
    return dict(zip(EMOTIONS, emotions, strict=True))


def _intensity(name: str, value: float) -> float:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or not 0 <= value <= 1:
        raise refusal(
            f"the intensity of {name} is {value!r}; it must lie between 0, for none, and 1"
        )
    return float(value)
