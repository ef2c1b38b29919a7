# SPDX-License-Identifier: Apache-2.0
"""A denoiser whose last layer makes the velocity: what it gives is noise all the same."""

import dataclasses

import numpy as np
import torch

from mien_export.networks.denoiser import Denoiser

from .tiny_generators import TINY_DENOISER, with_lively_weights


def test_a_velocity_gives_the_noise_that_salimans_and_ho_say():
    noise_head = with_lively_weights(Denoiser(TINY_DENOISER))
    velocity_head = Denoiser(dataclasses.replace(TINY_DENOISER, head="velocity"))
    velocity_head.load_state_dict(noise_head.state_dict())  # the same names
    generator = torch.Generator().manual_seed(3)
    t = torch.tensor([[0.0], [1.0], [500.0], [998.0], [999.0]])
    z = torch.randn((5, 3, 32, 32), generator=generator)
    inputs = (
        [torch.randn((5, 512), generator=generator) for _ in range(2)],
        [torch.ones((5, 1)), torch.zeros((5, 1))],
    )
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[t[:, 0].int()].reshape(5, 1, 1, 1)

    with torch.no_grad():
        velocity, noise = noise_head(z, t, *inputs), velocity_head(z, t, *inputs)

    expected = np.sqrt(1 - alpha_bar) * z.numpy() + np.sqrt(alpha_bar) * velocity.numpy()
    np.testing.assert_allclose(noise.numpy(), expected, rtol=1e-5, atol=1e-5)
    # x0 is never far away: it is sqrt(alpha_bar) z - sqrt(1 - alpha_bar) velocity.
    x0 = (z.numpy() - np.sqrt(1 - alpha_bar) * noise.numpy().astype(float)) / np.sqrt(alpha_bar)
    expected = np.sqrt(alpha_bar) * z.numpy() - np.sqrt(1 - alpha_bar) * velocity.numpy()
    np.testing.assert_allclose(x0, expected, atol=1e-3)
