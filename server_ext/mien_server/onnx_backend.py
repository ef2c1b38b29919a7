# SPDX-License-Identifier: Apache-2.0
"""Batches of requests through one graph: concatenate, run once, split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["run_batch"]

Array = NDArray[Any]
Graph = Callable[[Mapping[str, Array]], dict[str, Array]]


def run_batch(
    graph: Graph, requests: Sequence[Mapping[str, Array]], *, batched: bool
) -> list[dict[str, Array]]:
    """Outputs of each request; requests whose shapes agree beyond the batch run together.

    Args:
        graph: inputs to outputs.
        requests: input name -> array, batch first where `batched`.
        batched: the model's max_batch_size is not 0.
    """
    if not batched or len(requests) == 1:
        return [graph(request) for request in requests]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, request in enumerate(requests):
        shapes = tuple((name, request[name].shape[1:]) for name in sorted(request))
        groups.setdefault(shapes, []).append(index)
    results: dict[int, dict[str, Array]] = {}
    for indices in groups.values():
        outputs = _run_together(graph, [requests[index] for index in indices])
        results.update(zip(indices, outputs, strict=True))
    return [results[index] for index in range(len(requests))]


def _run_together(graph: Graph, requests: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    joined = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}
    sizes = [len(next(iter(request.values()))) for request in requests]
    cuts = np.cumsum(sizes)[:-1]
    pieces = {name: np.split(array, cuts) for name, array in graph(joined).items()}
    return [{name: parts[i] for name, parts in pieces.items()} for i in range(len(requests))]
