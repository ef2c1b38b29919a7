# SPDX-License-Identifier: Apache-2.0
"""Embeddings of people who differ: some look alike, some look unlike themselves."""

import numpy as np

from mien_export.comparisons import Comparisons, compare_images

LENGTH = 16


def make_people(rng, identities: int, images: int) -> np.ndarray:
    """(identities, images, LENGTH) unit vectors, crowded around one direction.

    Crowding makes some people alike; how far one's images spread differs from person to person.
    """
    centres = rng.standard_normal((identities, 1, LENGTH))
    centres[..., 0] += 1
    centres /= np.linalg.norm(centres, axis=2, keepdims=True)
    spread = 0.5 * np.exp(0.4 * rng.standard_normal((identities, 1, 1)))
    noise = rng.standard_normal((identities, images, LENGTH)) / np.sqrt(LENGTH)
    people = centres + spread * noise
    return (people / np.linalg.norm(people, axis=2, keepdims=True)).astype(np.float32)


def compare_people(rng, identities: int, images: int) -> Comparisons:
    """Every pair of images of new people."""
    people = make_people(rng, identities, images).reshape(-1, LENGTH)
    owners = np.repeat(np.arange(identities, dtype=np.int32), images)
    return compare_images(people, owners, max_nonmated=10**9, seed=0)


def true_rates(threshold: float) -> tuple[float, float]:
    """FMR and FNMR of the whole population, nearly without chance."""
    rng = np.random.default_rng(12345)
    people = make_people(rng, 8000, 2)
    fmr = (people[:4000, 0] @ people[4000:, 0].T >= threshold).mean()
    many = make_people(rng, 200_000, 2)
    fnmr = ((many[:, 0] * many[:, 1]).sum(axis=1) < threshold).mean()
    return float(fmr), float(fnmr)
