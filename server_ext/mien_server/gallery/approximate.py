# SPDX-License-Identifier: Apache-2.0
"""Which of many vectors may be nearest: a scan over one bit per number, by Faiss.

Faiss (MIT, Meta, released every few months; one abi3 wheel for Python 3.10 and later, numpy from
1.25 on; vectors can be taken out again) was chosen over usearch, whose current wheels begin with
Python 3.11, and hnswlib, whose last release is of 2023 and comes without wheels. Of its indices
RaBitQ (Gao and Long 2024) builds in half a second for 100,000 vectors, so that nothing but the
templates need be stored; a graph (HNSW) took fifty times longer and found less, since strangers'
faces lie about equally far from each other in nearly all of 512 directions.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

__all__ = ["ApproximateIndex"]

# Bits to which numbers of a probe are rounded; with four, one in a hundred more is missed.
_PROBE_BITS = 8


class ApproximateIndex:
    """Vectors in the order in which they came; it never changes, so threads may share it.

    One bit per number says enough only of vectors that a random rotation has turned, as those of a
    gallery are.

    Args:
        vectors: (N, D) float32 of unit length.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        index = faiss.IndexRaBitQ(vectors.shape[1], faiss.METRIC_INNER_PRODUCT)
        index.qb = _PROBE_BITS
        index.train(vectors)
        index.add(vectors)
        self._index: Any = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def extended(self, vectors: NDArray[np.float32]) -> ApproximateIndex:
        """An index that has more of them at its end."""
        other = object.__new__(ApproximateIndex)
        other._index = faiss.clone_index(self._index)
        other._index.add(vectors)
        return other

    def candidates(self, probe: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """(at most `count`,) numbers of the vectors whose product with a (D,) probe seems largest.

        In no order that means anything: the products are estimates.
        """
        found = self._index.search(probe[None], min(count, len(self)))[1][0]
        rows: NDArray[np.int64] = found[found >= 0]
        return rows
