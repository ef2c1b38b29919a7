# SPDX-License-Identifier: Apache-2.0
"""What the numbers of an answer say, in words for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["evidence_in_words", "pose_in_words", "threshold_in_words"]

# The verbal scale of the ENFSI guideline for evaluative reporting in forensic science (2015):
# powers of ten from which a word applies.
_SUPPORT = (
    (6.0, "extremely strong"),
    (4.0, "very strong"),
    (3.0, "strong"),
    (2.0, "moderately strong"),
    (1.0, "moderate"),
    (0.3, "weak"),  # a factor of two
)


def threshold_in_words(fmr: float) -> str:
    """What the false match rate of a threshold, 0 to 1, means."""
    return f"false match rate {fmr:.2g}: 1 in {1 / fmr:,.0f} pairs of two people reaches it"


def evidence_in_words(log10_likelihood_ratio: float) -> str:
    """What a likelihood ratio says, with its size.

    Args:
        log10_likelihood_ratio: positive for one person, negative for two.
    """
    power = abs(log10_likelihood_ratio)
    number = f"(log10 likelihood ratio {log10_likelihood_ratio:+.2f})"
    support = next((word for least, word in _SUPPORT if power >= least), None)
    if support is None:
        return f"supports neither one person nor two {number}"
    more, less = ("one person", "two") if log10_likelihood_ratio > 0 else ("two people", "one")
    times = f"{float(f'{10**power:.2g}'):,.0f}" if power >= 1 else f"{10**power:.1f}"
    return f"{support} support for {more}: {times} times likelier than from {less} {number}"


def pose_in_words(pose: Sequence[float]) -> str:
    """How far a head is turned and its jaw open.

    Args:
        pose: 6 numbers, axis-angle in radians: 3 of the head, 3 of the jaw.
    """
    head_deg, jaw_deg = (math.degrees(math.hypot(*part)) for part in (pose[:3], pose[3:]))
    return f"turned by {head_deg:.0f} degrees, jaw open by {jaw_deg:.0f}"
