# SPDX-License-Identifier: Apache-2.0
"""Figures of an autoencoder: how near its pictures are, and to whom they still belong.

Letters  N photographs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mien_starter.evaluation.networks import Predict
from mien_starter.evaluation.pictures import peak_signal_to_noise_db, structural_similarity
from mien_starter.face_reader import crops_of, embedded
from mien_starter.generated_faces import rounded
from mien_starter.shards import Photographs

__all__ = ["measure_autoencoder"]

_AT_ONCE = 64


def measure_autoencoder(
    predict: Mapping[str, Predict], recognize: Predict, photographs: Photographs
) -> dict[str, float]:
    """Encode and decode every photograph.

    Args:
        predict: latent_encoder and latent_decoder.
        recognize: face_recognizer, of the starter weights.
        photographs: held out.

    Returns:
        PSNR and SSIM, the cosine between the embeddings of picture and photograph, and mean and
        deviation of the latents' channels, which should be 0 and 1.
    """
    columns: dict[str, list[NDArray[np.float64]]] = {"psnr_db": [], "ssim": [], "cosine": []}
    moments = []
    for start in range(0, len(photographs), _AT_ONCE):
        crops = crops_of(photographs, range(start, min(start + _AT_ONCE, len(photographs))))
        (latents,) = predict["latent_encoder"](crops)
        pictures = rounded(predict["latent_decoder"](latents)[0])
        columns["psnr_db"].append(peak_signal_to_noise_db(pictures, crops))
        columns["ssim"].append(structural_similarity(pictures, crops))
        pairs = embedded(recognize, pictures) * embedded(recognize, crops)
        columns["cosine"].append(pairs.sum(axis=1).astype(np.float64))
        moments.append((latents.sum(axis=(0, 2, 3)), np.square(latents).sum(axis=(0, 2, 3))))
    figures = {name: np.concatenate(values) for name, values in columns.items()}
    mean, square = np.sum(moments, axis=0, dtype=np.float64) / (len(photographs) * 32 * 32)
    deviation = np.sqrt(square - mean**2)
    return {
        **{f"{name}_mean": float(values.mean()) for name, values in figures.items()},
        "cosine_percentile_10": float(np.percentile(figures["cosine"], 10)),
        "latent_mean_farthest": float(np.abs(mean).max()),
        "latent_deviation_smallest": float(deviation.min()),
        "latent_deviation_largest": float(deviation.max()),
    }
