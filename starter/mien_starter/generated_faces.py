# SPDX-License-Identifier: Apache-2.0
"""Faces out of the generator, sampled as the server samples them, with torch for its networks.

Letters  N faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.crowd import Crowd, Member
from mien_server.diffusion.guidance import Guidance
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.schedule import linear_schedule
from mien_server.diffusion.solvers import dpm_solver_steps
from mien_starter.evaluation.networks import Predict

__all__ = ["generated", "rounded"]

STEPS = 20  # of DPM-Solver++
GUIDANCE = Guidance(weight=0.5, switch_at=500)  # MorphFace's own
_LATENT = (3, 32, 32)
_MAX_ROWS = 32


def generated(
    predict: Mapping[str, Predict],
    identity: NDArray[np.float32],
    style: NDArray[np.float32],
    seeds: Sequence[int],
) -> NDArray[np.uint8]:
    """Sample faces.

    Args:
        predict: face_denoiser and latent_decoder.
        identity: (N, 512) embeddings of unit length.
        style: (N, 512) style contexts.
        seeds: N of them.

    Returns:
        (N, 128, 128, 3) RGB.
    """
    solver = dpm_solver_steps(linear_schedule(), STEPS)
    samples = [Sample(solver, GUIDANCE, seed, _LATENT) for seed in seeds]
    crowd: Crowd[str] = Crowd(_MAX_ROWS)
    crowd.join("all", [Member(*each) for each in zip(samples, identity, style, strict=True)])
    while (step := crowd.next_step()) is not None:
        (eps,) = predict["face_denoiser"](
            step.z,
            step.t[:, None],
            step.identity,
            step.style,
            step.keep_identity,
            step.keep_style,
        )
        crowd.take(step, eps)
    latents = np.stack([sample.latent for sample in samples])
    return rounded(predict["latent_decoder"](latents)[0])


def rounded(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, H, W, 3) of what latent_decoder answers, (N, 3, H, W) in 0..255."""
    return np.ascontiguousarray(np.round(pictures).astype(np.uint8).transpose(0, 2, 3, 1))
