# SPDX-License-Identifier: Apache-2.0
"""Noise that depends on a seed and a place, and on nothing that happened before.

Philox is a counter-based generator (Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2,
3*): the n-th number of a stream is a function of key and counter. Its raw output is fixed by its
definition; numpy's normal numbers are not (NEP 19), so they are made here (Box and Muller 1958).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SEED", "gaussian_noise"]

MAX_SEED = 2**64 - 1
_MAX_STREAM = 2**63 - 1
_UNIT = 2.0**-53


def gaussian_noise(seed: int, stream: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Independent normal numbers of mean 0 and variance 1.

    Args:
        seed: of the sample, 0 to 2^64 - 1.
        stream: which noise of that sample, such as the number of a step, 0 or more.
        shape: any.

    Returns:
        float32; drawn from float64, so that the last bits of a mathematical library hardly show.

    Raises:
        ValueError: seed or stream out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed is {seed}; expected 0 to 2^64 - 1")
    if not 0 <= stream <= _MAX_STREAM:
        raise ValueError(f"stream is {stream}; expected 0 to 2^63 - 1")
    count = math.prod(shape)
    pairs = (count + 1) // 2
    # Streams lie 2^64 counters apart in the second word: they never meet.
    raw = np.random.Philox(key=seed, counter=[0, stream, 0, 0]).random_raw(2 * pairs)
    # 53 bits each; the first lies in (0, 1], whose logarithm is finite.
    uniform = ((raw >> 11).astype(np.float64) + np.repeat((1.0, 0.0), pairs)) * _UNIT
    radius = np.sqrt(-2 * np.log(uniform[:pairs]))
    angle = 2 * np.pi * uniform[pairs:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    noise: NDArray[np.float32] = normal[:count].astype(np.float32).reshape(shape)
    return noise
