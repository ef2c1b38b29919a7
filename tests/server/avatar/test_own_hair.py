# SPDX-License-Identifier: Apache-2.0
"""Hair of a photograph with models whose answers are known."""

import dataclasses

import numpy as np
import pytest

from mien_server.avatar import card_plans
from mien_server.avatar.card_plans import CardPlans
from mien_server.avatar.choices import HairForm, Level
from mien_server.avatar.hairdressing import Hairdresser
from mien_server.avatar.likeness import Sitting
from mien_server.avatar.own_hair import KEPT, OwnHair, orientation_map_of, own_style, read_own_hair
from mien_server.errors import ServingError
from mien_server.hair.card_plan import plan_cards
from mien_server.hair.orientation import BODY, HAIR, decoded_map
from mien_server.hair.portrait_crop import PORTRAIT_SIZE_PX, portrait_window_from_landmarks
from mien_server.warping import moved, warped
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.planted_hair_models import (
    LATENT,
    STYLE,
    HairyModels,
    brows_row,
)


def sitting_of(image=None):
    head = planted.portrait_of()[0]
    ring = planted.landmarks_px(head.vertices_px)
    shown = head.image_rgb if image is None else image
    return Sitting(shown, ring[:5], ring, head.vertices, head.vertices_px, head.vertices_px)


def masks_of(sitting, **planted_as):
    window = portrait_window_from_landmarks(sitting.landmarks_68)
    portrait = warped(sitting.image_rgb, window, PORTRAIT_SIZE_PX)
    images = portrait.transpose(2, 0, 1)[None].astype(np.float32)
    return HairyModels(**planted_as).hair_segmenter(images)["masks"][0]


def test_the_map_has_hair_and_body_where_the_segmenter_has_them():
    sitting = sitting_of()
    red = orientation_map_of(sitting, masks_of(sitting))[..., 0]

    brows = moved(portrait_window_from_landmarks(sitting.landmarks_68), sitting.landmarks_68[17:27])
    assert brows[:, 1].min() > brows_row()
    assert (red[: brows_row()] == HAIR).sum() > 2000
    assert not (red[brows_row() :] == HAIR).any()
    assert (red[brows_row() :] == BODY).sum() > 2000


@pytest.mark.parametrize("degrees", [30, 90, 150])
def test_the_map_has_the_direction_of_lines_in_the_photograph(degrees):
    """The head is painted over with stripes of one direction, two pixels wide."""
    rows, columns = np.mgrid[0:400, 0:400]
    angle = np.deg2rad(degrees)
    across = columns * np.sin(angle) + rows * np.cos(angle)
    stripes = (127 + 90 * np.sin(2 * np.pi * across / 5)).astype(np.uint8)
    plain = sitting_of()
    angles, hair, _ = decoded_map(
        orientation_map_of(sitting_of(np.dstack([stripes] * 3)), masks_of(plain))
    )

    off = np.abs(np.rad2deg(angles[hair]) - degrees) % 180
    assert np.median(np.minimum(off, 180 - off)) < 3


def test_the_encoder_is_shown_the_map_and_its_answer_is_the_latent():
    sitting, models = sitting_of(), HairyModels()
    masks = masks_of(sitting)
    latent = read_own_hair(sitting, masks, models)

    assert models.together == [["hair_vae_encoder"]]
    expected = orientation_map_of(sitting, masks).mean(axis=(0, 1))
    np.testing.assert_allclose(latent[:3], expected, rtol=1e-5)
    assert latent.shape == (LATENT,)


def test_a_bald_head_has_no_latent_and_nobody_is_asked():
    sitting, models = sitting_of(), HairyModels()

    assert read_own_hair(sitting, masks_of(sitting, bald=True), models) is None
    assert models.together == []


def test_a_latent_is_the_style_that_the_decoder_says():
    latent = np.zeros(LATENT, np.float32)
    shipped = planted.library().hairstyle(STYLE).strands
    own = own_style(latent, HairyModels())
    latent[3] = 1000
    raised = own_style(latent, HairyModels())

    np.testing.assert_array_equal(own.strands.points, shipped.points)
    np.testing.assert_array_equal(own.strands.curliness, shipped.curliness)
    rise = raised.strands.points - own.strands.points
    np.testing.assert_allclose(rise, np.broadcast_to([0, 0.01, 0], rise.shape), atol=1e-6)
    assert raised.digest != own.digest


def test_a_style_that_is_asked_for_again_is_not_made_again_and_few_are_kept():
    models = HairyModels()
    own, latents = OwnHair(models), [np.full(LATENT, n, np.float32) for n in range(KEPT + 1)]
    first = own.style(latents[0])

    assert own.style(latents[0].copy()) is first
    assert len(models.together) == 1
    for latent in latents[1:]:
        own.style(latent)
    assert len(models.together) == KEPT + 1
    again = own.style(latents[0])  # the oldest one was forgotten
    assert len(models.together) == KEPT + 2
    assert again.digest == first.digest


def test_a_latent_may_stand_for_a_bald_head():
    class Bald(HairyModels):
        def hair_vae_decoder(self, latent):
            return {"strands": np.zeros((1, 32, 32, 100, 4), np.float32)}

    assert own_style(np.zeros(LATENT), Bald()) is None


def test_an_answer_that_is_no_hair_is_the_model_s_fault():
    class Broken(HairyModels):
        def hair_vae_decoder(self, latent):
            return {"strands": np.full((1, 32, 32, 100, 4), np.nan, np.float32)}

    with pytest.raises(ServingError, match="hair_vae_decoder answered with no hair") as refused:
        own_style(np.zeros(LATENT), Broken())
    assert refused.value.code == "MODEL_FAILED"


@pytest.mark.parametrize("form", list(HairForm))
def test_own_hair_is_dressed_as_the_same_style_of_the_library_is(form):
    own = own_style(np.zeros(LATENT), HairyModels())
    dresser, vertices = planted.hairdresser(), planted.asset().vertices
    colour = (0.3, 0.2, 0.1)
    found, expected = (
        dresser.hair(style, vertices, colour, form, Level.LOW) for style in (own, STYLE)
    )

    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        value = getattr(expected, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, field.name), value, field.name)


def test_cards_of_own_hair_are_planned_once_and_never_written(tmp_path, monkeypatch):
    made = []

    def plan(strands, max_triangles):
        made.append(max_triangles)
        return plan_cards(strands, max_triangles)

    monkeypatch.setattr(card_plans, "plan_cards", plan)
    dresser = Hairdresser(planted.library(), planted.asset(), CardPlans(tmp_path / "plans"))
    latent = np.zeros(LATENT, np.float32)
    for number in (0, 0, 1000):  # the same hair twice, then another
        latent[3] = number
        own = own_style(latent, HairyModels())
        dresser.hair(own, planted.asset().vertices, (0.3, 0.2, 0.1), HairForm.CARDS, Level.LOW)

    assert len(made) == 2
    assert not (tmp_path / "plans").exists()
