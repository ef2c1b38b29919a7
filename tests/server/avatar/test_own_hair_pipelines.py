# SPDX-License-Identifier: Apache-2.0
"""`hairstyle` "own" in all three pipelines, with models whose answers are known."""

import numpy as np
import pytest

from mien_server.errors import ServingError
from tests.server.avatar import asking
from tests.server.avatar.asking import HAPPY, PHOTO, opened
from tests.server.avatar.glb_reader import read_glb
from tests.server.avatar.planted_hair_models import STYLE, HairyModels

BROWN, RED = np.float32([0.375, 0.25, 0.125]), np.float32([0.75, 0.25, 0.125])
ALL = {"segmenter": True, "own_hair": True, "makes_own_hair": True}


def asked(models=None, *, helpers=ALL, **options):
    """The stream after a request."""
    return asking.asked(PHOTO, models=models or HairyModels(), helpers=helpers, **options)


def made(**options):
    stream = asked(**options)
    assert stream.refusal is None
    return stream.events[-1]


@pytest.fixture(scope="module")
def avatar():
    return made(hairstyle="own", hair_color=BROWN, expression="neutral", turntable=[True])


def changed(event, method, models=None, **inputs):
    models = models or HairyModels()
    return asking.changed(event, method, models=models, makes_own_hair=True, **inputs)


def test_own_hair_is_the_style_that_the_decoder_says(avatar):
    shipped = made(hairstyle=STYLE, hair_color=BROWN, expression="neutral")

    assert avatar["file"][0] == shipped["file"][0]
    assert opened(avatar).hairstyle == "own"


def test_own_hair_comes_as_strands_and_in_the_turntable_too():
    own, shipped = (
        made(hairstyle=name, hair_color=BROWN, format="ply", turntable=[True], level="low")
        for name in ("own", STYLE)
    )

    assert own["file"][0].startswith(b"ply\n")
    assert own["file"][0] == shipped["file"][0]
    assert own["turntable"][0] == shipped["turntable"][0]


def test_the_latent_of_the_photograph_travels_in_the_code(avatar):
    models = HairyModels()
    asked(models, hairstyle="own")
    changes = changed(avatar, "with_emotions", models=(later := HairyModels()), emotions=HAPPY)

    latent = opened(avatar).own_hair
    assert latent[0] > 10
    np.testing.assert_array_equal(opened(changes).own_hair, latent)
    assert ["hair_vae_encoder"] in models.together
    assert [calls for calls in later.together if "hair_vae_encoder" in calls] == []
    assert ["hair_vae_decoder"] in later.together
    names = [mesh.name for mesh in read_glb(changes["file"][0]).gltf.meshes]
    assert names == ["head", "hair"]


def test_own_hair_is_taken_off_and_put_on_again_without_the_photograph(avatar):
    bald = changed(avatar, "with_hairstyle", hairstyle="none")
    other = changed({**avatar, **bald}, "with_hairstyle", hairstyle="buzz")
    again = changed({**avatar, **other}, "with_hairstyle", hairstyle="own")

    assert [mesh.name for mesh in read_glb(bald["file"][0]).gltf.meshes] == ["head"]
    assert other["file"][0] != avatar["file"][0]
    assert again["file"][0] == avatar["file"][0]


def test_a_hairstyle_that_is_left_out_leaves_own_hair_on_in_any_colour_and_form(avatar):
    worn = made(hairstyle=STYLE, hair_color=BROWN, expression="neutral")
    wanted = {"hair_color": RED, "hair_form": "mesh", "level": "low"}
    kept = changed(avatar, "with_hairstyle", **wanted)

    assert kept["file"][0] == changed(worn, "with_hairstyle", **wanted)["file"][0]
    assert opened(kept).hairstyle == "own"
    assert opened(kept).hair_color == tuple(RED.tolist())
    np.testing.assert_array_equal(opened(kept).own_hair, opened(avatar).own_hair)


def test_a_turntable_after_a_change_shows_own_hair(avatar):
    turning = {"turntable": np.array([True])}
    kept = changed(avatar, "with_hairstyle", **turning)
    calm = changed(avatar, "with_emotions", emotions=0 * HAPPY, **turning)
    bald = changed(avatar, "with_hairstyle", hairstyle="none", **turning)

    assert kept["turntable"][0] == calm["turntable"][0] == avatar["turntable"][0]
    assert bald["turntable"][0] != avatar["turntable"][0]


def test_what_nobody_wants_of_own_hair_is_not_made(avatar):
    models, code = HairyModels(), frozenset({"avatar_code"})

    kept = changed(avatar, "with_hairstyle", models=models, outputs=code, hairstyle="own")

    assert models.together == []
    assert opened(kept).hairstyle == "own"


def test_an_avatar_that_was_made_without_its_own_hair_cannot_put_it_on():
    event = made(hairstyle=STYLE)

    assert opened(event).own_hair is None
    with pytest.raises(ServingError, match="no hair of its own; make it again") as refused:
        changed(event, "with_hairstyle", hairstyle="own")
    assert refused.value.code == "INVALID_OPTION"


def test_the_own_hair_of_a_bald_person_is_none():
    event = made(models=HairyModels(bald=True), hairstyle="own")
    again = changed(event, "with_emotions", emotions=0 * HAPPY)

    for file in (event["file"][0], again["file"][0]):
        assert [mesh.name for mesh in read_glb(file).gltf.meshes] == ["head"]
    stream = asked(HairyModels(bald=True), hairstyle="own", format="ply")
    assert stream.refusal.code == "INVALID_OPTION"
    assert "has none" in stream.refusal.text


@pytest.mark.parametrize(
    "helpers",
    [{"segmenter": True, "makes_own_hair": True}, {"segmenter": False}],
    ids=["no encoder", "no decoder"],
)
def test_a_repository_without_the_graphs_refuses_own_hair_at_once(helpers):
    models = HairyModels()
    stream = asked(models, helpers=helpers, hairstyle="own")

    assert stream.refusal.code == "INVALID_OPTION"
    assert "no hair_vae" in stream.refusal.text
    assert models.together == []


def test_a_repository_without_the_decoder_cannot_wear_the_own_hair_of_another(avatar):
    for method, inputs in (
        ("with_emotions", {"emotions": HAPPY}),
        ("with_hairstyle", {}),
        ("with_hairstyle", {"hairstyle": "own"}),
    ):
        with pytest.raises(ServingError, match="no hair_vae"):
            asking.changed(avatar, method, models=HairyModels(), **inputs)
    bald = asking.changed(avatar, "with_hairstyle", models=HairyModels(), hairstyle="none")
    assert opened(bald).own_hair is not None
