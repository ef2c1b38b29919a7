# SPDX-License-Identifier: Apache-2.0
"""`hairstyle` "own" in all three pipelines, with models whose answers are known."""

import numpy as np
import pytest

from mien_server.avatar.avatar_code import AvatarCodes
from mien_server.avatar.changing import AvatarChanger
from mien_server.avatar.creating import AvatarCreator, Helpers, Limits
from mien_server.avatar.making import AvatarMaker
from mien_server.errors import ServingError
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.glb_reader import read_glb
from tests.server.avatar.planted_avatars import Stream, texts
from tests.server.avatar.planted_hair_models import STYLE, HairyModels

PHOTO = planted.portrait_of(0)[1]
BROWN = np.float32([0.375, 0.25, 0.125])
HAPPY = np.float32([1, 0, 0, 0, 0, 0])
ALL = Helpers(detail=False, segmenter=True, own_hair=True)


def maker(models=None, *, makes_own_hair=True):
    return AvatarMaker(
        planted.asset(),
        planted.hairdresser(),
        models or HairyModels(),
        AvatarCodes(planted.KEY, "planted"),
        pose_values="global jaw",
        generator="planted",
        untrained=False,
        makes_own_hair=makes_own_hair,
    )


def asked(models=None, *, helpers=ALL, makes_own_hair=True, **options):
    """The stream after a request."""
    stream, models = Stream(), models or HairyModels()
    inputs = {"images": texts(PHOTO), "texture_size": np.int32([256])}
    inputs |= {n: texts(v) if isinstance(v, str) else np.asarray(v) for n, v in options.items()}
    made = maker(models, makes_own_hair=makes_own_hair)
    creator = AvatarCreator(made, models, helpers, Limits(2, 180))
    creator.answer(inputs, stream)
    creator.close()
    return stream


def made(**options):
    stream = asked(**options)
    assert stream.refusal is None
    return stream.events[-1]


@pytest.fixture(scope="module")
def avatar():
    return made(hairstyle="own", hair_color=BROWN)


def opened(event):
    return AvatarCodes(planted.KEY, "planted").open(event["avatar_code"][0].decode())


def changed(event, method, models=None, **inputs):
    models = models or HairyModels()
    doing = AvatarChanger(maker(models), models)
    arrays = {n: texts(v) if isinstance(v, (str, bytes)) else v for n, v in inputs.items()}
    given = {name: event[name] for name in ("avatar_code", "texture") if name in event}
    outputs = frozenset({"file", "expression", "avatar_code"})
    answer = getattr(doing, method)({**given, **arrays}, outputs)
    doing.close()
    return answer


def test_own_hair_is_the_style_that_the_decoder_says(avatar):
    shipped = made(hairstyle=STYLE, hair_color=BROWN)

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
    ("helpers", "makes_own_hair"),
    [
        (Helpers(detail=False, segmenter=True), True),
        (Helpers(detail=False, segmenter=False), False),
    ],
    ids=["no encoder", "no decoder"],
)
def test_a_repository_without_the_graphs_refuses_own_hair_at_once(helpers, makes_own_hair):
    models = HairyModels()
    stream = asked(models, helpers=helpers, makes_own_hair=makes_own_hair, hairstyle="own")

    assert stream.refusal.code == "INVALID_OPTION"
    assert "no hair_vae" in stream.refusal.text
    assert models.together == []
