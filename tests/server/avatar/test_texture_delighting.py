# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from mien_server.avatar.texture import project_photograph
from mien_server.avatar.texture.delighting import delit, refined_light
from mien_server.rendering import sh_basis, shading
from tests.server.avatar.portraits import EVEN_LIGHT, SKIN, atlas, pattern, photograph, plain

ATLAS = atlas()


def light_from(direction, strength=0.6, tint=(1.0, 1.0, 1.0)):
    """(9, 3) half even light, half a lamp: brighter where the surface turns to it."""
    light = 0.55 * EVEN_LIGHT
    light[1:4] = strength * np.array(direction)[:, None] / np.linalg.norm(direction) / 1.023
    return (light * tint).astype(np.float32)


LIGHTS = {
    "from the left": light_from((-0.6, 0.3, 0.7)),
    "from above": light_from((0.1, 0.9, 0.4)),
    "warm": light_from((0.5, 0.2, 0.8), 0.4, (1.1, 1.0, 0.85)),
}


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_a_planted_light_is_taken_out_of_a_planted_texture(light):
    planted = pattern()
    samples = project_photograph(photograph(planted, light=light), ATLAS)
    lit = np.abs(samples.colour - planted)[samples.weight > 0.5]

    albedo = delit(samples, light)

    sure = albedo.weight > 0.5
    assert sure.sum() > 0.8 * (samples.weight > 0.5).sum()
    error = np.abs(albedo.colour - planted)[sure]
    assert np.median(error) < 0.01
    assert np.percentile(error, 95) < 0.04
    assert np.median(lit) > 5 * np.median(error)


def test_twice_the_light_halves_the_albedo():
    samples = project_photograph(photograph(pattern()), ATLAS)

    once, twice = delit(samples, EVEN_LIGHT), delit(samples, 2 * EVEN_LIGHT)

    used = samples.weight > 0
    np.testing.assert_allclose(twice.colour[used], once.colour[used] / 2, rtol=1e-5)
    np.testing.assert_array_equal(twice.weight, once.weight)


def test_what_light_does_not_reach_is_neither_blown_up_nor_believed():
    dark = light_from((-1.0, 0.0, 0.0), 1.0)
    samples = project_photograph(photograph(plain(), light=dark), ATLAS)
    shade = shading(samples.normal, dark)
    level = np.median(shade[samples.weight > 0])

    albedo = delit(samples, dark)

    unlit = (samples.weight > 0) & (shade.max(axis=-1) < 0.1 * level)
    assert unlit.sum() > 100
    assert (albedo.weight[unlit] == 0).all()
    error = np.abs(albedo.colour[albedo.weight > 0.3] - SKIN)
    assert np.percentile(error, 99) < 0.2


def test_a_channel_that_was_cut_off_is_put_back():
    bright = (1.45 * EVEN_LIGHT).astype(np.float32)  # red skin at 1.16, green at 0.87
    samples = project_photograph(photograph(plain(), light=bright), ATLAS)

    cut = delit(samples, bright)
    whole = delit(samples, bright, plain())

    sure = whole.weight > 0.5
    assert sure.sum() > 1000
    assert np.median(cut.colour[sure], axis=0)[0] < 0.7
    np.testing.assert_allclose(np.median(whole.colour[sure], axis=0), SKIN, atol=0.01)


def test_what_is_burnt_out_counts_less():
    burnt = (3 * EVEN_LIGHT).astype(np.float32)
    samples = project_photograph(photograph(plain(), light=burnt), ATLAS)

    assert (samples.weight > 0.5).any()
    assert not delit(samples, burnt, plain()).weight.any()


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_the_light_is_found_from_a_guess_without_direction(light):
    planted = pattern()
    samples = project_photograph(photograph(planted, light=light), ATLAS)
    guess = np.zeros((9, 3), np.float32)
    guess[0] = light[0] * 0.8

    found = refined_light(samples, planted, guess)

    normals = samples.normal[samples.weight > 0.5]
    truth, shade = shading(normals, light), shading(normals, found)
    assert np.abs(shade - truth).mean() < 0.12 * np.abs(shading(normals, guess) - truth).mean()


def test_hair_and_shadow_do_not_mislead_it():
    light = LIGHTS["from the left"]
    planted = pattern()
    there = photograph(planted, light=light)
    image = there.image_rgb.copy()
    image[:150] = (30, 20, 15)  # dark hair down to the brows
    samples = project_photograph(dataclasses.replace(there, image_rgb=image), ATLAS)

    found = refined_light(samples, planted, light)

    normals = samples.normal[samples.weight > 0.5]
    error = np.abs(shading(normals, found) - shading(normals, light))
    assert error.mean() < 0.03 * shading(normals, light).mean()


def test_the_colour_of_the_light_is_that_of_the_guess():
    guess = light_from((0, 0, 1), 0.3, (1.2, 1.0, 0.7))
    samples = project_photograph(photograph(pattern(), light=LIGHTS["from above"]), ATLAS)

    found = refined_light(samples, pattern(), guess)

    ratios = found / found.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(ratios, np.broadcast_to(guess[0] / guess[0].mean(), (9, 3)), 1e-4)


def test_of_nothing_seen_the_guess_is_all_there_is():
    samples = project_photograph(photograph(plain()), ATLAS)
    nothing = dataclasses.replace(samples, weight=np.zeros_like(samples.weight))

    np.testing.assert_array_equal(refined_light(nothing, plain(), EVEN_LIGHT), EVEN_LIGHT)
    assert not delit(nothing, EVEN_LIGHT).weight.any()


def test_even_light_is_shading_of_one():
    """What the portraits of these tests are lit with."""
    normals = np.random.default_rng(0).normal(size=(50, 3))

    np.testing.assert_allclose(sh_basis(normals) @ EVEN_LIGHT, np.ones((50, 3)), rtol=1e-6)
