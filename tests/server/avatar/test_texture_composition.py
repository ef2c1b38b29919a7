# SPDX-License-Identifier: Apache-2.0
"""Whole textures of planted people: from a photograph back to what was painted."""

import dataclasses

import numpy as np
import pytest

from mien_server.avatar.quality import psnr
from mien_server.avatar.texture import face_texture, project_photograph
from mien_server.rendering import make_scene, style_maps
from mien_server.rendering.maps import LAMBERTIAN, NORMALS
from tests.server.avatar.portraits import EVEN_LIGHT, SKIN, atlas, photograph, plain, topology
from tests.server.avatar.test_texture_delighting import LIGHTS

ATLAS = atlas()
FACE = ATLAS.photograph > 0.9
X, Y, Z = np.moveaxis(ATLAS.position, -1, 0)
HAIR = np.float32([0.12, 0.08, 0.05])


def person():
    """Skin with what faces have: darker brows, redder lips, spots, a soft change of tone."""
    texture = plain() * (1 + 0.04 * np.sin(X * 60) * np.cos(Y * 45))[..., None]
    brows = (np.abs(Y - 0.026) < 0.003) & (np.abs(np.abs(X) - 0.03) < 0.015) & (Z > 0)
    lips = (np.abs(Y + 0.055) < 0.007) & (np.abs(X) < 0.022) & (Z > 0)
    spots = np.random.default_rng(4).uniform(size=(256, 256)) < 0.004
    texture[brows] *= 0.35
    texture[lips] *= (0.95, 0.65, 0.7)
    texture[spots & FACE] *= 0.75
    return texture.astype(np.float32)


def mean_error(albedo, planted, where):
    return np.abs(albedo - planted)[where].mean()


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_a_person_comes_back_from_a_photograph(light):
    planted = person()
    there = photograph(planted, light=light)

    made = face_texture([there], plain(), ATLAS)

    seen = FACE & (made.weight > 0.9)
    assert seen.sum() > 0.5 * FACE.sum()
    assert mean_error(made.albedo, planted, seen) < 0.03
    assert mean_error(made.albedo, planted, seen) < 0.75 * mean_error(plain(), planted, seen)


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_with_its_light_in_it_a_texture_is_farther_from_the_person(light):
    planted = person()
    there = photograph(planted, light=light)

    with_light, without = (
        face_texture([there], plain(), ATLAS, delight=delight).albedo for delight in (False, True)
    )

    assert mean_error(without, planted, FACE) < 0.6 * mean_error(with_light, planted, FACE)


def test_the_head_looks_as_in_the_photograph_under_the_light_that_is_given_back():
    light = LIGHTS["from the left"]
    there = photograph(person(), light=light)
    dull = np.zeros((9, 3), np.float32)
    dull[0] = light[0]

    made = face_texture([dataclasses.replace(there, light=dull)], plain(), ATLAS)

    def rendered(texture, under):
        scene = make_scene(
            there.vertices[None],
            texture.transpose(2, 0, 1)[None],
            np.float32([[6.5, 0, 0.01]]),
            under[None],
            topology(),
        )
        (maps,) = style_maps(scene, 400)
        image = maps[LAMBERTIAN].transpose(1, 2, 0).clip(0, 1) * 255
        return image, maps[NORMALS].any(axis=0)

    image, mask = rendered(made.albedo, made.lights[0])
    model, _ = rendered(plain(), dull)
    assert psnr(image, there.image_rgb, mask) > 28
    assert psnr(image, there.image_rgb, mask) > psnr(model, there.image_rgb, mask) + 5


def test_the_model_is_found_again_in_a_photograph_of_it():
    made = face_texture([photograph(plain())], plain(), ATLAS)

    skin = (ATLAS.skin > 0.99) & ATLAS.texels.covered
    np.testing.assert_allclose(made.albedo[skin], np.broadcast_to(SKIN, made.albedo[skin].shape),
                               atol=0.03)  # fmt: skip


def test_skin_that_nobody_photographed_has_the_colour_of_the_face():
    darker = plain((0.45, 0.32, 0.25))

    made = face_texture([photograph(darker)], darker * 1.25, ATLAS)

    back = (ATLAS.skin > 0.99) & (Z < -0.05)
    ratio = made.albedo[back].mean(axis=0) / made.albedo[FACE].mean(axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.03)


def test_two_sides_of_a_person_make_one():
    planted = person()
    spots = planted.mean(axis=-1) < 0.85 * plain().mean(axis=-1)
    sides = [photograph(planted, yaw_deg=yaw) for yaw in (-45, 45)]

    made = face_texture(sides, plain(), ATLAS)

    both = FACE & (made.weight > 0.9)
    one = face_texture(sides[:1], plain(), ATLAS)
    assert both.sum() > 1.25 * (FACE & (one.weight > 0.9)).sum()
    assert mean_error(made.albedo, planted, both) < 0.03
    assert made.albedo[both & spots].mean() < 0.85 * made.albedo[both & ~spots].mean()
    assert len(made.lights) == 2


@pytest.mark.parametrize("yaw_deg", [0, 30])
def test_hair_over_the_forehead_does_not_become_skin(yaw_deg):
    fringe = (Y > 0.045) & (Z > -0.05)
    painted = np.where(fringe[..., None], HAIR, person())

    made = face_texture([photograph(painted, yaw_deg=yaw_deg)], plain(), ATLAS)

    forehead = fringe & (ATLAS.photograph > 0.05)
    assert (made.albedo[forehead].mean(axis=-1) > 0.8 * SKIN.mean()).mean() > 0.99


def test_hair_that_a_mask_shows_does_not_enter_either():
    there = photograph(np.where((X > 0.02)[..., None], 0.8 * SKIN, person()))
    x = there.vertices_px[:, 0]
    hair = np.zeros(there.image_rgb.shape[:2], np.float32)
    hair[:, int(x.mean() + 25) :] = 1

    made = face_texture([dataclasses.replace(there, hair=hair)], plain(), ATLAS)

    covered = FACE & (X > 0.035)
    assert (made.weight[covered] == 0).all()


@pytest.mark.parametrize("yaw_deg", [0, 40])
def test_no_wall_is_painted_onto_the_head(yaw_deg):
    """Even where the fit is two pixels off, so that it takes in the wall beside the face."""
    there = photograph(person(), yaw_deg=yaw_deg)
    off = dataclasses.replace(there, vertices_px=there.vertices_px + np.float32([2, 0, 0]))

    made = face_texture([off], plain(), ATLAS)

    red, green, blue = made.albedo[ATLAS.skin > 0.99].T
    assert (np.minimum(red, blue) - green).max() < 0.15


def test_a_larger_texture_shows_the_same_person():
    there = photograph(person(), light=LIGHTS["from above"])

    small, large = (face_texture([there], plain(), atlas(size)) for size in (256, 512))

    shrunk = large.albedo.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    inner = ATLAS.texels.covered & (ATLAS.skin > 0.99)
    assert large.albedo.shape == (512, 512, 3)
    assert np.abs(shrunk - small.albedo)[inner].mean() < 0.01


def test_what_was_given_is_not_written_to():
    there, model = photograph(person()), plain()
    for array in (there.image_rgb, there.vertices, there.vertices_px, model):
        array.flags.writeable = False

    made = face_texture([there], model, ATLAS)

    assert np.isfinite(made.albedo).all()
    assert 0 <= made.albedo.min() <= made.albedo.max() <= 1


def test_a_face_outside_its_photograph_gets_the_model():
    there = photograph(person())
    beside = dataclasses.replace(there, vertices_px=there.vertices_px + np.float32([900, 0, 0]))

    made = face_texture([beside], plain(), ATLAS)

    assert not made.weight.any()
    np.testing.assert_allclose(made.albedo, plain(), atol=1e-6)
    np.testing.assert_array_equal(made.lights[0], EVEN_LIGHT)


def test_a_model_of_another_layout_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 256, 256\)"):
        face_texture([photograph(plain())], plain().transpose(2, 0, 1), ATLAS)


def test_a_texture_without_photographs_is_refused():
    with pytest.raises(ValueError, match="at least one photograph"):
        face_texture([], plain(), ATLAS)


def test_the_samples_of_a_photograph_are_what_the_texture_is_made_of():
    """A face that is seen wholly, in even light and without gloss, is its samples."""
    planted = plain()
    there = photograph(planted)

    samples, made = project_photograph(there, ATLAS), face_texture([there], planted, ATLAS)

    sure = FACE & (samples.weight > 0.99)
    np.testing.assert_allclose(made.albedo[sure], samples.colour[sure], atol=0.02)
