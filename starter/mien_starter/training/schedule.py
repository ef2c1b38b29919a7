# SPDX-License-Identifier: Apache-2.0
"""Learning rates and margins by step."""

from __future__ import annotations

import math

__all__ = ["learning_rate_at", "rising"]


def learning_rate_at(step: int, steps: int, highest: float, warmup_steps: int) -> float:
    """Linear up, then half a cosine down to zero (Loshchilov and Hutter 2017, equation 5)."""
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    share = (step - warmup_steps) / max(steps - warmup_steps, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * share))


def rising(step: int, first: int, last: int) -> float:
    """0 up to step `first`, 1 from step `last` on, linear between."""
    return min(max((step - first) / max(last - first, 1), 0.0), 1.0)
