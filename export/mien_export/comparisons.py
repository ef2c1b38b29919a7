# SPDX-License-Identifier: Apache-2.0
"""Every pair of labelled embeddings, or a seeded sample of them, as similarities.

Letters: N images, I identities, D the length of an embedding, M mated pairs, K non-mated pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien_export.error_rates import Similarities
from mien_export.errors import CalibrationError

Indices = npt.NDArray[np.int32]

_PAIRS_AT_ONCE = 1 << 12


@dataclass(frozen=True)
class Comparisons:
    """Similarities, and whose photographs were compared.

    Attributes:
        mated: (M,) similarities of two images of one identity.
        mated_identity: (M,) whose they are, 0 to I - 1.
        nonmated: (K,) similarities of images of two identities.
        nonmated_identities: (K, 2) whose they are, the smaller number first.
        identity_count: I.
        nonmated_available: how many non-mated pairs there are; K of them were compared.
    """

    mated: Similarities
    mated_identity: Indices
    nonmated: Similarities
    nonmated_identities: Indices
    identity_count: int
    nonmated_available: int

    @property
    def mated_identity_count(self) -> int:
        """How many identities have a mated pair."""
        return len(np.unique(self.mated_identity))

    @property
    def identity_pair_count(self) -> int:
        """How many different pairs of people were compared."""
        return len(np.unique(pair_codes(self.nonmated_identities, self.identity_count)))


def pair_codes(identities: Indices, identity_count: int) -> npt.NDArray[np.int64]:
    """One number for each of (K, 2) pairs of identities."""
    return identities[:, 0].astype(np.int64) * identity_count + identities[:, 1]


def compare_images(
    embeddings: npt.NDArray[np.float32], identities: Indices, *, max_nonmated: int, seed: int
) -> Comparisons:
    """Compare all mated pairs, and all non-mated ones or a uniform sample of them.

    Args:
        embeddings: (N, D) of any positive length.
        identities: (N,) whose image each is, 0 to I - 1.
        max_nonmated: the most non-mated pairs to compare.
        seed: of the sample.

    Raises:
        CalibrationError: there is one identity only, no identity has two images, or an embedding
            has no direction.
    """
    counts = np.bincount(identities)
    if len(counts) < 2:
        raise CalibrationError(
            f"all {len(identities)} crops are of one identity; a false match needs two people. "
            "Give crops of many identities."
        )
    if counts.max() < 2:
        raise CalibrationError(
            f"each of the {len(counts)} identities has one image; a false non-match needs two of "
            "one person. Give several crops of each identity."
        )
    norms = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    unusable = int((~(np.isfinite(norms) & (norms > 0))).sum())
    if unusable:
        raise CalibrationError(
            f"{unusable} of {len(embeddings)} embeddings are zero or no numbers; expected a "
            "direction for every crop. Check the graph with mien-export check."
        )
    directions = embeddings / norms
    mated = _mated_pairs(identities)
    available = (len(identities) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2
    nonmated = _nonmated_pairs(identities, min(max_nonmated, available), available, seed)
    return Comparisons(
        mated=_similarities(directions, mated),
        mated_identity=identities[mated[:, 0]],
        nonmated=_similarities(directions, nonmated),
        nonmated_identities=np.sort(identities[nonmated], axis=1),
        identity_count=len(counts),
        nonmated_available=available,
    )


def _mated_pairs(identities: Indices) -> Indices:
    order = np.argsort(identities, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(identities[order])) + 1)
    pairs: list[Indices] = [
        group[np.column_stack(np.triu_indices(len(group), 1))].astype(np.int32) for group in groups
    ]
    return np.concatenate(pairs)


def _nonmated_pairs(identities: Indices, count: int, available: int, seed: int) -> Indices:
    size = len(identities)
    if count == available:
        first, second = np.triu_indices(size, 1)
        keep = identities[first] != identities[second]
        return np.column_stack([first[keep], second[keep]]).astype(np.int32)
    # Drawing with repetition until enough different ones are there never lists all the pairs.
    rng = np.random.default_rng(seed)
    codes = np.empty(0, np.int64)
    while len(codes) < count:
        drawn = np.sort(rng.integers(0, size, (2 * (count - len(codes)) + 64, 2)), axis=1)
        drawn = drawn[identities[drawn[:, 0]] != identities[drawn[:, 1]]]
        codes = np.unique(np.concatenate([codes, drawn[:, 0] * size + drawn[:, 1]]))
    codes = rng.permutation(codes)[:count]
    return np.column_stack([codes // size, codes % size]).astype(np.int32)


def _similarities(directions: npt.NDArray[np.float64], pairs: Indices) -> Similarities:
    similarity = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        first, second = directions[pairs[part, 0]], directions[pairs[part, 1]]
        similarity[part] = np.clip(np.einsum("kd,kd->k", first, second), -1, 1)
    return similarity
