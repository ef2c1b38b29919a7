# SPDX-License-Identifier: Apache-2.0
"""Faces whose figures are known: who they are and how they look is said, not photographed."""

import numpy as np

from bench.morphface.store import Faces

IDENTITY_DIMENSIONS, CODES = 512, 236
# In very many directions at once, recall is all or nothing; codes of faces move in about ten.
_WAYS = np.random.default_rng(6).normal(size=(6, CODES)) / 6**0.5


def planted_faces(rng, person, count, *, likeness, spread, similarity=0.5):
    """Embeddings about the person's direction, codes about zero.

    Args:
        rng: of what differs from picture to picture.
        person: number; decides on the direction.
        count: pictures.
        likeness: length of the person's direction beside one of noise.
        spread: standard deviation of the codes.
        similarity: that the server is to have said.
    """
    direction = np.random.default_rng(person).normal(size=IDENTITY_DIMENSIONS)
    noise = rng.normal(size=(count, IDENTITY_DIMENSIONS))
    vectors = likeness * direction + noise
    return Faces(
        images_rgb=rng.integers(0, 256, (count, 128, 128, 3), np.uint8),
        embeddings=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        codes=(spread * rng.normal(size=(count, len(_WAYS))) @ _WAYS).astype(np.float32),
        face_scores=np.ones(count, np.float32),
        similarities=np.full(count, similarity, np.float32),
        seeds=np.arange(count, dtype=np.uint64),
    )
