# SPDX-License-Identifier: Apache-2.0
"""Matching, merging and completing: what is seen stays, what is not seen follows from it."""

import dataclasses

import cv2
import numpy as np
import pytest

from mien_server.avatar.texture import Samples, project_photograph
from mien_server.avatar.texture.covering import uncovered
from mien_server.avatar.texture.filling import completed, spread_out
from mien_server.avatar.texture.matching import matched_colours, opponent, rgb_from_opponent
from mien_server.avatar.texture.merging import merged
from tests.server.avatar.portraits import SKIN, atlas, pattern, photograph, plain

ATLAS = atlas()
FACE = ATLAS.photograph > 0.99
EVERYWHERE = ATLAS.photograph.copy()
LEFT = np.where(np.arange(256) < 118, ATLAS.photograph, 0).astype(np.float32)


def face_weight(weight):
    return (weight * ATLAS.photograph).sum() / ATLAS.photograph.sum()


def test_opponent_channels_lead_back():
    colours = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)

    np.testing.assert_allclose(rgb_from_opponent(opponent(colours)), colours, atol=1e-5)


def test_grey_has_no_opponent_colour():
    greys = np.linspace(0, 1, 7)[:, None].repeat(3, axis=1)

    np.testing.assert_allclose(opponent(greys)[:, 1:], 0, atol=1e-6)


def test_a_model_that_is_right_is_not_changed():
    model = pattern()

    np.testing.assert_allclose(
        matched_colours(model, model, EVERYWHERE, ATLAS.skin), model, atol=1e-4
    )


def test_the_model_gets_the_colours_of_the_photograph():
    generator = np.random.default_rng(0)
    shade = generator.normal(1, 0.05, (256, 256, 1)).astype(np.float32)
    model, seen = SKIN * shade, np.float32([0.45, 0.30, 0.22]) * shade

    matched = matched_colours(model, seen, EVERYWHERE, ATLAS.skin)

    skin = ATLAS.skin > 0.5
    np.testing.assert_allclose(matched[skin].mean(axis=0), [0.45, 0.30, 0.22], atol=0.01)
    np.testing.assert_array_equal(matched[ATLAS.skin == 0], model[ATLAS.skin == 0].clip(0, 1))


def test_too_little_to_match_leaves_the_model():
    weight = np.zeros_like(EVERYWHERE)
    weight[100, 100:110] = 1

    np.testing.assert_array_equal(
        matched_colours(pattern(), plain(), weight, ATLAS.skin), pattern()
    )


def samples_of(colour, weight, pixels_per_metre=1000.0):
    return Samples(colour, weight.astype(np.float32), np.zeros_like(colour), pixels_per_metre)


def test_two_views_show_both_halves():
    planted = pattern()
    views = [project_photograph(photograph(planted, yaw_deg=yaw), ATLAS) for yaw in (-45, 45)]

    colour, weight = merged(views)

    assert face_weight(weight) > max(face_weight(view.weight) for view in views) + 0.15
    for view in views:
        assert (weight >= view.weight).all()
    sure = weight > 0.5
    assert np.percentile(np.abs(colour - planted)[sure], 99) < 0.03


def test_a_single_view_is_taken_as_it_is():
    view = samples_of(pattern(), LEFT)

    colour, weight = merged([view])

    np.testing.assert_array_equal(colour, view.colour)
    np.testing.assert_array_equal(weight, view.weight)


def test_the_order_of_the_views_changes_nothing():
    views = [samples_of(pattern(seed=i), np.roll(LEFT, 30 * i, axis=1)) for i in range(3)]

    (one, weight), (other, _) = merged(views), merged(views[::-1])

    np.testing.assert_allclose(one[weight > 0.01], other[weight > 0.01], atol=1e-5)


def test_the_sharper_of_two_equal_views_wins():
    views = [
        samples_of(plain((1, 0, 0)), EVERYWHERE, 3000),
        samples_of(plain((0, 0, 1)), EVERYWHERE, 500),
    ]

    colour, _ = merged(views)

    expected = np.broadcast_to((1, 0, 0), colour[FACE].shape)
    np.testing.assert_allclose(colour[FACE], expected, atol=0.01)


def test_what_no_view_shows_harms_nothing():
    broken = plain()
    broken[LEFT == 0] = np.nan
    views = [samples_of(broken, LEFT), samples_of(plain(), EVERYWHERE)]

    colour, weight = merged(views)

    assert np.isfinite(colour[weight > 0]).all()


def test_no_views_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        merged([])


def test_a_photograph_of_the_model_itself_gives_the_model():
    model = np.asarray(SKIN * (1 + 0.02 * np.sin(np.arange(256) / 9))[:, None, None], np.float32)
    model = np.broadcast_to(model, (256, 256, 3)).copy()

    np.testing.assert_allclose(completed(model, LEFT, model, ATLAS), model, atol=0.006)


def test_nothing_seen_gives_the_model():
    nothing = np.zeros_like(LEFT)

    np.testing.assert_array_equal(completed(pattern(), nothing, plain(), ATLAS), plain())


@pytest.mark.parametrize("shift", [0.08, -0.08])
def test_there_is_no_step_where_the_photograph_ends(shift):
    """A photograph that is brighter or darker than the model all over its half of the face."""
    albedo = completed(plain() + np.float32(shift), LEFT, plain(), ATLAS)

    rows = slice(105, 150)  # from eyes to mouth
    steps = np.abs(np.diff(albedo[rows, 60:200].mean(axis=-1), axis=1))
    pasted = np.abs(np.diff(np.where(LEFT > 0.5, shift, 0)[rows, 60:200], axis=1))
    assert steps.max() < 0.06 * pasted.max()


def test_the_tone_of_the_face_does_not_reach_the_back_of_the_head():
    albedo = completed(plain() + np.float32(0.1), LEFT, plain(), ATLAS)

    back = ATLAS.position[..., 2] < -0.1
    np.testing.assert_allclose(albedo[back], plain()[back], atol=1e-3)


def test_eyes_and_teeth_stay_those_of_the_model():
    albedo = completed(plain() + np.float32(0.1), EVERYWHERE, plain(), ATLAS)

    others = ATLAS.texels.covered & (ATLAS.skin == 0)
    assert others.any()
    np.testing.assert_allclose(albedo[others], plain()[others], atol=1e-3)


def mole(column, row=130):
    spots = np.zeros((256, 256, 1), np.float32)
    cv2.circle(spots, (column, row), 3, 1.0, -1)
    return plain() * (1 - 0.6 * spots)


def test_a_mole_stays_and_is_mirrored_to_where_nothing_was_seen():
    albedo = completed(mole(85), LEFT, plain(), ATLAS)

    dark = albedo.mean(axis=-1) < 0.75 * SKIN.mean()
    assert dark[130, 85]
    assert dark[130, 255 - 85]
    assert dark.sum() < 80


def test_a_mole_is_not_mirrored_onto_skin_that_was_seen():
    albedo = completed(mole(85), EVERYWHERE, plain(), ATLAS)

    np.testing.assert_allclose(albedo[130, 255 - 85], SKIN, atol=0.02)


def test_without_symmetry_nothing_is_mirrored():
    lopsided = dataclasses.replace(ATLAS, is_symmetric=False)

    albedo = completed(mole(85), LEFT, plain(), lopsided)

    np.testing.assert_allclose(albedo[130, 255 - 85], SKIN, atol=0.02)


def test_brows_of_the_model_do_not_show_beside_those_of_the_photograph():
    photographed, model = mole(85, row=100), mole(85, row=112)

    albedo = completed(photographed, EVERYWHERE, model, ATLAS)

    assert albedo[100, 85].mean() < 0.6 * SKIN.mean()
    np.testing.assert_allclose(albedo[112, 85], SKIN, atol=0.03)


def test_gloss_is_held_back_and_not_mirrored():
    spots = np.zeros((256, 256, 1), np.float32)
    cv2.circle(spots, (85, 130), 3, 1.0, -1)
    shiny = plain() + np.float32(0.15) * spots

    albedo = completed(shiny, LEFT, plain(), ATLAS)

    assert albedo[130, 85].mean() - SKIN.mean() < 0.09
    np.testing.assert_allclose(albedo[130, 255 - 85], SKIN, atol=0.05)


def test_spreading_keeps_a_constant_and_carries_it_on():
    values = np.broadcast_to(np.float32([0.3, -0.2]), (128, 128, 2))
    weight = np.zeros((128, 128), np.float32)
    weight[40:60, 40:60] = 1

    spread = spread_out(values, weight, coarsest=4)

    np.testing.assert_allclose(spread, values, atol=2e-3)


def test_spreading_ignores_what_has_no_weight():
    values = np.random.default_rng(0).uniform(0, 1, (128, 128, 1)).astype(np.float32)
    weight = np.zeros((128, 128), np.float32)
    weight[:, :64] = 1
    others = values.copy()
    others[:, 64:] = 1e6

    np.testing.assert_allclose(
        spread_out(values, weight, coarsest=4), spread_out(others, weight, coarsest=4)
    )


def covered_by(colour, mask):
    seen = plain() * np.random.default_rng(0).normal(1, 0.02, (256, 256, 1)).astype(np.float32)
    return np.where(mask[..., None], np.float32(colour), seen)


Y = ATLAS.position[..., 1]
FOREHEAD = (ATLAS.position[..., 2] > 0) & (Y > 0.05)


@pytest.mark.parametrize(
    "colour", [(0.1, 0.07, 0.05), (0.75, 0.7, 0.65), (0.9, 0.1, 0.9)], ids=["dark", "grey", "wall"]
)
def test_hair_over_the_forehead_is_found(colour):
    free = uncovered(covered_by(colour, FOREHEAD), EVERYWHERE, plain(), ATLAS)

    inside = FOREHEAD & (ATLAS.photograph > 0.05)
    assert (free[inside] < 0.02).mean() > 0.99
    below = FACE & (Y < 0.03)
    assert (free[below] == 1).all()


@pytest.mark.parametrize("row", [95, 130, 170])
def test_brows_moles_and_lips_are_no_hair(row):
    spots = np.zeros((256, 256), np.uint8)
    cv2.ellipse(spots, (100, row), (20, 5), 0, 0, 360, 1, -1)

    free = uncovered(covered_by((0.2, 0.12, 0.1), spots > 0), EVERYWHERE, plain(), ATLAS)

    assert (free == 1).all()


def test_a_beard_is_no_hair_that_hangs_in():
    x = ATLAS.position[..., 0]
    beard = (ATLAS.position[..., 2] > 0) & (Y < -0.06) & (np.abs(x) < 0.03)

    free = uncovered(covered_by((0.2, 0.15, 0.12), beard), EVERYWHERE, plain(), ATLAS)

    assert (free[beard & FACE] == 1).all()


def test_a_model_of_another_tone_covers_nothing():
    free = uncovered(0.7 * plain(), EVERYWHERE, plain(), ATLAS)

    assert (free == 1).all()
