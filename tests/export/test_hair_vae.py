# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch

from mien_export.networks.hair_vae import HairVae
from mien_export.networks.hair_vae_config import HAIR_VAE, HAIR_VAE_STARTER, HairVaeConfig
from mien_export.networks.hair_vae_decoder import Decoded, HairVaeDecoder
from mien_export.networks.hair_vae_encoder import HairVaeEncoder
from mien_export.networks.hair_vae_strands import (
    LatentOfMap,
    StrandsFromSteps,
    StrandsOfLatent,
    features_of,
)

from .weights import count_parameters

TINY = HairVaeConfig(
    widths=(4, 4, 4, 4, 4),
    blocks=(1, 1, 1, 1),
    squeezed=2,
    latent=8,
    rises=(4, 4, 4, 4),
    strand_width=2,
    step_points=9,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def silent(config=TINY):
    """A decoder that deviates nowhere from its mean style."""
    network = HairVaeDecoder(config).eval()
    with torch.no_grad():
        network.block[-1].weight.zero_()
        network.block[-1].bias.zero_()
        network.grows.weight.zero_()
        network.grows.bias.zero_()
    return network


def latents(count=2, config=TINY):
    return torch.randn(count, config.latent)


def encoded(angle_rad):
    """(1, 3, 256, 256) hair of one direction everywhere."""
    x, y = np.cos(angle_rad), np.sin(angle_rad)
    x, y = (x, y) if y >= 0 else (-x, -y)
    colours = torch.tensor([255, 255 * y, 255 * (x / 2 + 0.5)], dtype=torch.float32)
    return colours.reshape(1, 3, 1, 1).expand(1, 3, 256, 256)


def test_sizes_are_those_that_are_documented():
    assert count_parameters(HairVae, HAIR_VAE) == 31_421_029
    assert count_parameters(HairVae, HAIR_VAE_STARTER) == 3_738_653


def test_the_full_size_goes_through_the_published_shapes():
    with torch.device("meta"):
        network = HairVae(HAIR_VAE)
        mean, log_variance = network.posterior(torch.zeros(2, 3, 256, 256))
        steps, grows = network.decoder(mean)

    assert mean.shape == log_variance.shape == (2, 512)
    assert network.decoder.linear.out_features == 4096
    assert (network.decoder.linear.in_features, network.decoder.first_width) == (512, 256)
    assert steps.shape == (2, 4, 99, 32, 32)
    assert grows.shape == (2, 32, 32)


def test_the_starter_weights_are_within_seven_megabytes_together():
    with torch.device("meta"):
        halves = [half(HAIR_VAE_STARTER) for half in (HairVaeEncoder, HairVaeDecoder)]
        values = [value for half in halves for value in half.state_dict().values()]

    assert sum(v.numel() * (2 if v.ndim > 1 else 4) for v in values) < 7e6


def test_a_network_that_deviates_nowhere_gives_the_mean_style_on_the_roots():
    network = silent()
    roots = torch.randn(32, 32, 3)
    step = torch.randn(3, 32, 32) * 0.01
    network.roots.copy_(roots.flatten())
    network.step_mean[:3] = step[:, None]
    network.step_mean[3] = 0.5
    strands = StrandsOfLatent(network)(latents())

    way = torch.arange(100)[:, None] / 9 * step.permute(1, 2, 0)[:, :, None]
    curliness = torch.full((32, 32, 100, 1), 0.5)
    curliness[:, :, [0, -1]] = 0
    expected = torch.cat([roots[:, :, None] + way, curliness], dim=-1)
    torch.testing.assert_close(strands, expected.expand(2, -1, -1, -1, -1), rtol=1e-4, atol=1e-5)


def test_a_cell_whose_logit_is_not_positive_is_zero_throughout_and_no_other_is():
    network = silent()
    network.roots.fill_(0.1)
    network.step_mean[:3] = 0.01
    grows = torch.linspace(-1, 1, 32 * 32).reshape(1, 32, 32)
    network.forward = lambda _: Decoded(network.step_mean[None], grows)
    strands = StrandsOfLatent(network)(latents(1))

    there = (strands != 0).any(dim=-1)
    assert torch.equal(there.any(dim=-1), grows > 0)
    assert torch.equal(there.all(dim=-1), grows > 0)


def test_rows_columns_points_and_values_are_in_the_order_of_the_contract():
    network = silent(dataclasses.replace(TINY, step_points=1))
    steps = torch.zeros(1, 4, 99, 32, 32)
    steps[0, 1, 41, 5, 7] = 1.0  # step 41 leads to point 42, upwards
    network.forward = lambda _: Decoded(steps, torch.ones(1, 32, 32))
    strands = StrandsOfLatent(network)(latents(1))

    expected = torch.zeros(1, 32, 32, 100, 4)
    expected[0, 5, 7, 42:, 1] = 1.0
    torch.testing.assert_close(strands, expected)


@pytest.mark.parametrize("steps", [11, 33, 99])
def test_points_lie_on_the_cubic_that_the_knots_lie_on(steps):
    """A polynomial of third degree is its own spline."""
    t = torch.linspace(0, 1, 100, dtype=torch.float64)
    curve = torch.stack([t**3 - t, 2 * t**2 + t, -t])  # (3, 100)
    knots = curve[:, :: 99 // steps]
    planted = torch.cat([knots.diff(dim=1), torch.zeros(1, steps)])[None, :, :, None]
    found = StrandsFromSteps(steps)(planted.float())[0, :3, :, 0]

    torch.testing.assert_close(found, curve.float(), rtol=0, atol=2e-6)


def test_curliness_is_linear_between_knots_nothing_at_the_ends_and_never_negative():
    steps = torch.zeros(1, 4, 11, 1)
    steps[0, 3, :, 0] = torch.arange(11) - 1.0
    found = StrandsFromSteps(11)(steps)[0, 3, :, 0]

    expected = ((torch.arange(100).clamp_min(9) - 9) / 9 - 1).clamp_min(0)
    expected[-1] = 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_features_do_not_know_a_lines_sense_and_do_not_jump_at_the_level():
    for degrees in (10, 95, 170):
        one, other = (features_of(encoded(np.deg2rad(d))) for d in (degrees, degrees + 180))
        torch.testing.assert_close(one, other)
        doubled = np.deg2rad(2 * degrees)
        expected = torch.tensor([1.0, np.cos(doubled), np.sin(doubled)], dtype=torch.float32)
        torch.testing.assert_close(one[0, :, 0, 0], expected, rtol=0, atol=1e-5)
    above, below = (features_of(encoded(np.deg2rad(d))) for d in (0.5, 179.5))

    assert (above - below).abs().max() < 0.04


def test_features_of_what_is_no_hair_hold_no_direction():
    red = torch.tensor([0.0, 128.0]).reshape(2, 1, 1, 1).expand(2, 1, 4, 4)
    features = features_of(torch.cat([red, torch.rand(2, 2, 4, 4) * 255], dim=1))

    assert torch.equal(features[:, 1:], torch.zeros(2, 2, 4, 4))
    torch.testing.assert_close(features[:, :1], red / 255)


def test_the_halves_are_served_as_they_learnt_together():
    network = HairVae(TINY).eval()
    maps = torch.rand(2, 3, 256, 256) * 255
    mean, log_variance = network.posterior(features_of(maps))
    together = network(features_of(maps))
    latent = LatentOfMap(network.encoder)(maps)
    strands = StrandsOfLatent(network.decoder)(latent)

    torch.testing.assert_close(latent, mean)
    assert not torch.allclose(mean, log_variance)
    there = together.grows > 0
    assert torch.equal(strands.flatten(3).any(dim=-1), there)
    ends = together.steps[:, :3].cumsum(dim=2).permute(0, 3, 4, 2, 1)  # the roots are 0
    torch.testing.assert_close(strands[there][:, 9::9, :3], ends[there], rtol=0, atol=1e-6)


def test_a_step_that_does_not_end_at_the_last_point_is_refused():
    with pytest.raises(ValueError, match="divisor of 99"):
        HairVaeConfig(step_points=2)
