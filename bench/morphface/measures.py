# SPDX-License-Identifier: Apache-2.0
"""Similarities and variances within a person, and between people.

Paper    MorphFace, sections C.1, C.2 and C.4.
Letters  P people, M pictures of each, D length of an embedding, S side of a picture, B bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import CODE_PARTS

__all__ = [
    "ATTRIBUTES",
    "BAND_EDGES",
    "attribute_variances",
    "frequency_variances",
    "inter_class_similarities",
    "intra_class_similarity",
]

# The paper counts the camera to the pose: nine numbers (section C.2).
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "shape": ("shape",),
    "expression": ("expression",),
    "pose": ("pose", "camera"),
    "texture": ("texture",),
    "light": ("light",),
}
# Radii in cycles per picture, an octave each; the last band has the corners of the spectrum too.
BAND_EDGES = (0.0, 0.5, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0, np.inf)
_GREY = (0.299, 0.587, 0.114)


def intra_class_similarity(embeddings: NDArray[Any]) -> float:
    """Mean cosine of all pairs of (M, D) embeddings of one person, M > 1."""
    unit = _unit(embeddings)
    cosines: NDArray[np.float64] = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return float(cosines.mean())


def inter_class_similarities(embeddings: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """(P,) mean cosine of each person's pictures with everybody else's, of P (M, D), P > 1."""
    sums = np.stack([_unit(own).sum(axis=0) for own in embeddings])
    counts = np.array([len(own) for own in embeddings])
    others = sums.sum(axis=0) - sums
    cosines: NDArray[np.float64] = (sums * others).sum(axis=1) / (counts * (counts.sum() - counts))
    return cosines


def attribute_variances(codes: NDArray[Any]) -> dict[str, float]:
    """Mean variance of the numbers of each group, over (M, 236) codes, M > 1; unbiased."""
    variances = np.asarray(codes, np.float64).var(axis=0, ddof=1)
    return {
        name: float(np.concatenate([variances[CODE_PARTS[part]] for part in parts]).mean())
        for name, parts in ATTRIBUTES.items()
    }


def frequency_variances(images_rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Variance over pictures in each band of frequencies.

    How it is done stands in the paper's figure 14, and not in its text. Here a picture is turned to
    grey, 0 to 1, and to its orthonormal Fourier spectrum; the variance of a coefficient is the mean
    square distance from its mean over the pictures, unbiased, and that of a band the mean of its
    coefficients. Over all coefficients they add up to the variances of all pixels.

    Args:
        images_rgb: (M, S, S, 3), M > 1.

    Returns:
        (B,) from the mean grey to the finest detail; bands are octaves of `BAND_EDGES`.
    """
    grey = np.asarray(images_rgb, np.float64) @ _GREY / 255
    spectra = np.fft.fft2(grey, norm="ortho")
    away = np.abs(spectra - spectra.mean(axis=0)) ** 2
    variances = away.sum(axis=0) / (len(grey) - 1)
    bands = band_numbers(grey.shape[1])
    sums = np.bincount(bands.ravel(), variances.ravel(), minlength=len(BAND_EDGES) - 1)
    means: NDArray[np.float64] = sums / np.bincount(bands.ravel(), minlength=len(sums)).clip(1)
    return means


def band_numbers(side: int) -> NDArray[np.int64]:
    """(S, S) in which band each coefficient of a spectrum lies."""
    cycles = np.fft.fftfreq(side, 1 / side)
    radii = np.hypot(cycles[:, None], cycles[None])
    return np.digitize(radii, BAND_EDGES[1:-1])


def _unit(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    vectors = np.asarray(embeddings, np.float64)
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
