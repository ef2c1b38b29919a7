# SPDX-License-Identifier: Apache-2.0
"""Figures of the denoiser and its style encoder: the noise it finds, and whose faces it makes.

Letters  N photographs, F faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import with_parts
from mien_server.diffusion.schedule import linear_schedule
from mien_starter.errors import StarterError
from mien_starter.evaluation.networks import Predict
from mien_starter.face_reader import FaceReader, embedded
from mien_starter.generated_faces import generated
from mien_starter.shards import Photographs

__all__ = ["KnownFaces", "known_faces", "measure_denoiser"]

FACES = 24  # that are generated, of as many people
QUARTERS = 4  # of the timesteps, the first is the cleanest
_SEED = 12
_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class KnownFaces:
    """What the networks are asked with.

    Attributes:
        identity: (N,) numbers of the people.
        latents: (N, 3, 32, 32) float32.
        embeddings: (N, 512) of unit length.
        codes: (N, 236), fitted.
        maps: (N, 9, 128, 128) float32, of the codes.
    """

    identity: NDArray[np.int64]
    latents: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    codes: NDArray[np.float32]
    maps: NDArray[np.float32]


def known_faces(photographs: Photographs, encode: Predict, reader: FaceReader) -> KnownFaces:
    """Read photographs, 0.7 MB each."""
    latents, embeddings, codes, maps = [], [], [], []
    for start in range(0, len(photographs), _AT_ONCE):
        faces = reader.read(photographs, range(start, min(start + _AT_ONCE, len(photographs))))
        latents.append(encode(faces.crops)[0])
        embeddings.append(faces.embeddings)
        codes.append(faces.codes)
        maps.append(reader.maps.of(faces.codes))
    identity = np.asarray(photographs.labels["identity"], np.int64)
    return KnownFaces(identity, *map(np.concatenate, (latents, embeddings, codes, maps)))


def measure_denoiser(
    predict: Mapping[str, Predict], decode: Predict, reader: FaceReader, faces: KnownFaces
) -> dict[str, float]:
    """Noise that is found in latents of photographs, and faces that are made of noise.

    Args:
        predict: face_denoiser and style_encoder.
        decode: latent_decoder.
        reader: of the starter weights.
        faces: of held-out people.

    Returns:
        Mean square errors of noise of unit variance, with both contexts by quarter of the timesteps
        and without any; cosines of generated faces with the embedding that was asked for and with
        those of the others, beside the cosine of two photographs of a person if there are two.

    Raises:
        StarterError: they are of one person only.
    """
    first = np.unique(faces.identity, return_index=True)[1][:FACES]
    if len(first) < 2:
        raise StarterError("all photographs are of one person; give a data set with more people.")
    (style,) = predict["style_encoder"](faces.maps)
    figures = _noise_figures(predict["face_denoiser"], faces, style)
    # Everybody is seen as the next one was, but with their own shape, as when serving.
    asked = with_parts(faces.codes[np.roll(first, -1)], faces.codes[first], frozenset({"shape"}))
    pictures = generated(
        {"face_denoiser": predict["face_denoiser"], "latent_decoder": decode},
        faces.embeddings[first],
        predict["style_encoder"](reader.maps.of(asked))[0],
        list(range(len(first))),
    )
    cosines = embedded(reader.recognize, pictures) @ faces.embeddings[first].T  # (F, F)
    own = np.eye(len(first), dtype=bool)
    same = faces.identity[:, None] == faces.identity[None]
    pairs = (faces.embeddings @ faces.embeddings.T)[np.triu(same, 1)]
    return {
        **figures,
        "cosine_own_mean": float(cosines[own].mean()),
        "cosine_others_mean": float(cosines[~own].mean()),
        "nearest_is_own": float((cosines.argmax(axis=1) == np.arange(len(first))).mean()),
        **({"cosine_of_photographs_mean": float(pairs.mean())} if len(pairs) else {}),
    }


def _noise_figures(
    denoise: Predict, faces: KnownFaces, style: NDArray[np.float32]
) -> dict[str, float]:
    rng, count = np.random.default_rng(_SEED), len(faces.latents)
    alpha_bar = linear_schedule().alpha_bar
    t = rng.permutation(((np.arange(count) + 0.5) * len(alpha_bar) / count).astype(np.int64))
    noise = rng.standard_normal(faces.latents.shape, np.float32)
    left = alpha_bar[t].astype(np.float32)[:, None, None, None]
    z = np.sqrt(left) * faces.latents + np.sqrt(1 - left) * noise
    times, kept = t[:, None].astype(np.float32), np.ones((count, 1), np.float32)
    errors = [
        np.square(denoise(z, times, faces.embeddings, style, keep, keep)[0] - noise).mean(
            axis=(1, 2, 3)
        )
        for keep in (kept, 0 * kept)
    ]
    quarters = t * QUARTERS // len(alpha_bar)
    return {
        "eps_mse_mean": float(errors[0].mean()),
        **{
            f"eps_mse_quarter_{i + 1}": float(errors[0][quarters == i].mean())
            for i in range(QUARTERS)
            if (quarters == i).any()
        },
        "eps_mse_without_contexts_mean": float(errors[1].mean()),
    }
