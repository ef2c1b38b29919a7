# SPDX-License-Identifier: Apache-2.0
"""Batches by step number: their order needs no memory, so a run can start at any step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from mien_starter.training.recipe import Arrays, Tensors

__all__ = ["batches", "indices_of_step", "rng_of_step"]

_ORDER, _CONTENT = 0, 1  # tell the two uses of a seed apart


def indices_of_step(step: int, batch: int, count: int, seed: int) -> NDArray[np.int64]:
    """(batch,) samples of a step: every epoch shows all of `count` samples once, shuffled anew."""
    places = step * batch + np.arange(batch)
    epochs = places // count
    return np.array(
        [
            _order(int(epoch), count, seed)[place]
            for epoch, place in zip(epochs, places % count, strict=True)
        ]
    )


def rng_of_step(step: int, seed: int) -> np.random.Generator:
    """Source of everything random in the samples of a step."""
    return np.random.default_rng([seed, _CONTENT, step])


@functools.lru_cache(maxsize=4)
def _order(epoch: int, count: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)


class _Steps(Dataset[Arrays]):
    """Hands the making of batches to the loader's processes."""

    def __init__(self, make: Callable[[int], Arrays]) -> None:
        self._make = make

    def __getitem__(self, step: int) -> Arrays:
        return self._make(step)


def batches(
    make: Callable[[int], Arrays], first: int, last: int, workers: int
) -> Iterator[Tensors]:
    """Batches of steps `first` to `last - 1`, in order.

    Args:
        make: from step to arrays.
        first: step to start with.
        last: step before which to end.
        workers: processes that make them ahead of time; 0 makes each when it is asked for.
    """
    loader: DataLoader[Arrays] = DataLoader(
        _Steps(make),
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start if workers else None,
    )
    yield from loader


def _start(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
