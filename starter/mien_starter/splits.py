# SPDX-License-Identifier: Apache-2.0
"""Which people may be trained on: decided by number, once and for all.

Nobody of "held_out" is ever trained on or calibrated with; thresholds come from "calibrate".
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SPLITS", "identities", "split_of"]

SPLITS: Mapping[str, range] = {
    "train": range(100_000),
    "calibrate": range(100_000, 110_000),
    "held_out": range(110_000, 120_000),
}


def split_of(identity: int) -> str:
    """The split a person belongs to.

    Raises:
        ValueError: there is no such person.
    """
    for name, numbers in SPLITS.items():
        if identity in numbers:
            return name
    last = max(numbers.stop for numbers in SPLITS.values()) - 1
    raise ValueError(f"identity is {identity}; it must be from 0 to {last}")


def identities(split: str, count: int, first: int = 0) -> range:
    """Numbers of the people of a split.

    Args:
        split: "train", "calibrate" or "held_out".
        count: how many.
        first: how many of the split are skipped.

    Raises:
        ValueError: no such split, or it has fewer people.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
    numbers = SPLITS[split]
    if count < 0 or first < 0 or first + count > len(numbers):
        raise ValueError(
            f"people {first} to {first + count - 1} of {split} were asked for; it has those from 0 "
            f"to {len(numbers) - 1}"
        )
    return numbers[first : first + count]
