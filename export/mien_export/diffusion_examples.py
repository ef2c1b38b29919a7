# SPDX-License-Identifier: Apache-2.0
"""Inputs of denoisers and decoders for parity: noisy states, every kind of timestep and condition.

A tensor's name says what it is, as everywhere: ``z`` and ``x_t`` are states, ``t`` timesteps,
``c_id`` an identity of unit length, ``keep_…`` whether a context is kept.
Letters  B batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# (B, dims, seed, how many samples came before) -> (B, *dims).
Example = Callable[[int, Sequence[int], int, int], Array]

TIMESTEPS = (999.0, 500.0, 0.0)  # all noise, half way, all but clean
# Together these take four samples for every combination, and twelve for each at every timestep.
_KEEPS_ID = (1.0, 1.0, 0.0, 0.0)
_KEEPS_STYLE = (1.0, 0.0, 1.0, 0.0)


def example_normals(batch_size: int, dims: Sequence[int], seed: int, _: int) -> Array:
    """Make values of unit variance, as noise has it and latents nearly."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((batch_size, *dims)).astype(np.float32)


def example_directions(batch_size: int, dims: Sequence[int], seed: int, before: int) -> Array:
    """Make vectors of unit length."""
    vectors = example_normals(batch_size, dims, seed, before)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _cycle(
    values: Sequence[float], batch_size: int, dims: Sequence[int], _: int, before: int
) -> Array:
    row = [values[(before + i) % len(values)] for i in range(batch_size)]
    return np.broadcast_to(np.array(row, np.float32)[:, None], (batch_size, *dims)).copy()


DIFFUSION_EXAMPLES: Mapping[str, Example] = {
    "z": example_normals,
    "x_t": example_normals,
    "t": functools.partial(_cycle, TIMESTEPS),
    "c_id": example_directions,
    "keep_id": functools.partial(_cycle, _KEEPS_ID),
    "keep_sty": functools.partial(_cycle, _KEEPS_STYLE),
}
