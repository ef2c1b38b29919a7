# SPDX-License-Identifier: Apache-2.0
"""Inputs of the denoiser as it meets them while it samples, to calibrate its int8 graph with.

Letters  N samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.schedule import linear_schedule
from mien_starter.errors import StarterError
from mien_starter.evaluation.networks import Predict
from mien_starter.face_features import FaceFeatures
from mien_starter.style_maps import maps_from_bytes

__all__ = ["denoiser_inputs"]

# Context blending (MorphFace, equation 10) asks for both contexts, and for one of them.
_KEPT = ((1, 1), (1, 0), (0, 1))


def denoiser_inputs(
    features: FaceFeatures, style_encoder: Predict, count: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Latents of some faces with noise, at timesteps that are spread evenly.

    Args:
        features: of at least `count` faces.
        style_encoder: (N, 9, 128, 128) maps to (N, 512) contexts.
        count: N, > 0.
        seed: of faces and noise.

    Returns:
        By the graph's inputs: z (N, 3, 32, 32), t (N, 1), c_id (N, 512), c_sty (N, 512), keep_id
        and keep_sty (N, 1), in no order.

    Raises:
        StarterError: there are fewer faces.
    """
    if len(features) < count:
        raise StarterError(
            f"the features are of {len(features)} faces, and {count} are asked for; ask for fewer."
        )
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(features), count, replace=False)
    alpha_bar = linear_schedule().alpha_bar
    t = ((np.arange(count) + rng.random(count)) * len(alpha_bar) / count).astype(np.int64)
    kept = np.array(_KEPT, np.float32)[rng.permutation(count) % len(_KEPT)]
    latents = np.stack([features.latent(int(row)) for row in rows]).astype(np.float64)
    left = alpha_bar[t][:, None, None, None]
    z = np.sqrt(left) * latents + np.sqrt(1 - left) * rng.standard_normal(latents.shape)
    styles = [style_encoder(maps_from_bytes(features.maps(int(row)))[None])[0][0] for row in rows]
    mixed = rng.permutation(count)  # the last ones judge, and must not be the cleanest
    inputs = {
        "z": z,
        "t": t[:, None],
        "c_id": features.embeddings[rows],
        "c_sty": np.stack(styles),
        "keep_id": kept[:, :1],
        "keep_sty": kept[:, 1:],
    }
    return {name: array[mixed].astype(np.float32) for name, array in inputs.items()}
