# SPDX-License-Identifier: Apache-2.0
"""`apply_emotion` and `try_hairstyle` with models whose answers are known."""

import io

import numpy as np
import pytest
from PIL import Image

from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.asking import HAPPY, PHOTO, SURPRISED, asked, changed, morph, opened
from tests.server.avatar.glb_reader import read_glb
from tests.server.avatar.planted_avatars import PlantedModels, maker


@pytest.fixture(scope="module")
def avatar():
    stream = asked(PHOTO, hairstyle="bob", turntable=[True], expression="neutral")
    assert stream.refusal is None
    return stream.events[-1]


def test_emotions_move_the_vertices_as_the_network_says(avatar):
    happy = changed(avatar, "with_emotions", emotions=HAPPY, output="morph")
    surprised = changed(avatar, "with_emotions", emotions=SURPRISED, output="morph")

    rest = planted.asset().vertices
    smile = planted.head_of(np.zeros(300), np.eye(100)[1], np.zeros(15)) - rest
    jaw = planted.head_of(np.zeros(300), np.eye(100)[6], np.eye(15)[6] * 0.2) - rest
    np.testing.assert_allclose(happy["expression"], smile, atol=1e-6)  # the head is not turned
    np.testing.assert_allclose(surprised["expression"], jaw, atol=1e-6)
    assert happy["file"][0] == b""
    assert opened(happy).codes[151] == 1


def test_a_network_that_turns_the_neck_moves_no_jaw():
    made = maker(pose_values="neck global")
    codes = made.heads.with_emotions(np.zeros(236, np.float32), np.zeros(300), SURPRISED)

    assert codes[CODE_PARTS["pose"]].tolist() == [0] * 6


@pytest.mark.parametrize("form", ["cards", "strands", "mesh"])
def test_hair_is_worn_in_every_form(avatar, form):
    answer = changed(avatar, "with_hairstyle", hairstyle="bob", hair_form=form, level="low")

    glb = read_glb(answer["file"][0])
    (hair,) = glb.primitives("hair")
    assert hair.mode in ((1, 3) if form == "strands" else (4, None))


def test_an_avatar_without_its_texture_has_the_model_s(avatar):
    answer = changed(avatar, "with_hairstyle", texture=None, hairstyle="none")

    glb = read_glb(answer["file"][0])
    image = Image.open(io.BytesIO(glb.view(glb.gltf.images[0].bufferView)))
    assert image.size == (256, 256)
    assert np.ptp(np.asarray(image).reshape(-1, 3), axis=0).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("method", "inputs", "code"),
    [
        ("with_emotions", {"emotions": HAPPY, "avatar_code": "mine"}, "INVALID_AVATAR"),
        ("with_emotions", {"emotions": 3 * HAPPY}, "INVALID_OPTION"),
        ("with_emotions", {"emotions": HAPPY, "texture": b"junk"}, "INVALID_TENSOR"),
        ("with_emotions", {"emotions": HAPPY, "normals": b"junk"}, "INVALID_TENSOR"),
        ("with_hairstyle", {"hairstyle": "mullet"}, "INVALID_OPTION"),
        ("with_hairstyle", {"hairstyle": "none", "format": "ply"}, "INVALID_OPTION"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(avatar, method, inputs, code):
    with pytest.raises(ServingError) as refused:
        changed(avatar, method, **inputs)

    assert refused.value.code == code


def test_an_emotion_in_a_file_is_the_one_of_the_slider(avatar):
    models = PlantedModels()
    file = changed(avatar, "with_emotions", models=models, emotions=HAPPY)
    alone = changed(avatar, "with_emotions", emotions=HAPPY, output="morph")

    np.testing.assert_allclose(file["expression"], alone["expression"], atol=1e-7)
    np.testing.assert_array_equal(opened(file).codes, opened(alone).codes)
    assert models.together[:2] == [["emotion_mlp"], ["flame_decoder"]]
    glb = read_glb(file["file"][0])
    np.testing.assert_allclose(morph(glb, 0), morph(glb, 1), atol=1e-7)  # all of happiness


def test_a_turntable_after_a_change_is_the_one_that_came_with_the_avatar(avatar):
    """From the code and the texture alone, pixel by pixel."""
    kept = changed(avatar, "with_hairstyle", outputs=frozenset({"turntable"}), turntable=[True])
    calm = changed(avatar, "with_emotions", emotions=0 * HAPPY, turntable=np.array([True]))

    assert avatar["turntable"][0].startswith(b"\x89PNG")
    assert kept["turntable"][0] == avatar["turntable"][0]
    assert calm["turntable"][0] == avatar["turntable"][0]


@pytest.mark.parametrize("output", ["file", "morph"])
def test_a_turntable_shows_the_emotion_that_was_asked_for(avatar, output):
    answer = changed(
        avatar, "with_emotions", emotions=SURPRISED, output=output, turntable=np.array([True])
    )
    again = changed({**avatar, **answer}, "with_hairstyle", turntable=np.array([True]))

    assert answer["turntable"][0] != avatar["turntable"][0]
    assert again["turntable"][0] == answer["turntable"][0]
    assert bool(answer["file"][0]) == (output == "file")


def test_a_turntable_shows_the_hair_that_was_asked_for(avatar):
    bald = changed(avatar, "with_hairstyle", hairstyle="none", turntable=np.array([True]))
    never = asked(PHOTO, turntable=[True], expression="neutral").events[-1]

    assert bald["turntable"][0] == never["turntable"][0]


def test_there_is_no_turntable_unless_it_is_asked_for(avatar):
    assert changed(avatar, "with_hairstyle")["turntable"][0] == b""
    assert changed(avatar, "with_emotions", emotions=HAPPY)["turntable"][0] == b""


def test_what_nobody_wants_is_not_made(avatar):
    models = PlantedModels()
    code = frozenset({"avatar_code"})

    styled = changed(avatar, "with_hairstyle", models=models, outputs=code, hairstyle="afro")

    assert models.together == []
    assert styled["file"][0] == styled["turntable"][0] == b""
    assert opened(styled).hairstyle == "afro"


def test_a_hairstyle_that_is_left_out_is_that_of_the_code(avatar):
    named = changed(avatar, "with_hairstyle", hairstyle="bob", hair_form="mesh", level="low")
    kept = changed(avatar, "with_hairstyle", hair_form="mesh", level="low")
    empty = changed(avatar, "with_hairstyle", hairstyle="", hair_form="mesh", level="low")

    assert kept["file"][0] == empty["file"][0] == named["file"][0]
    assert opened(kept).hairstyle == "bob"


def test_a_colour_alone_dyes_the_hair_there_is(avatar):
    red = changed(avatar, "with_hairstyle", hair_color=np.float32([0.75, 0.25, 0.125]))

    assert opened(red).hairstyle == "bob"
    assert opened(red).hair_color == (0.75, 0.25, 0.125)
    assert red["file"][0] != changed(avatar, "with_hairstyle")["file"][0]


def test_hair_that_is_kept_is_written_alone_and_no_hair_is_not(avatar):
    strands = changed(avatar, "with_hairstyle", format="ply", level="low")
    bald = changed(avatar, "with_hairstyle", hairstyle="none")

    assert strands["file"][0].startswith(b"ply\n")
    with pytest.raises(ServingError, match="hairstyle is 'none'") as refused:
        changed({**avatar, **bald}, "with_hairstyle", format="ply")
    assert refused.value.code == "INVALID_OPTION"


def test_a_texture_of_any_proportions_is_drawn_where_it_belongs(avatar):
    pixels = np.asarray(Image.open(io.BytesIO(avatar["texture"][0])))
    file = io.BytesIO()
    Image.fromarray(np.repeat(pixels, 2, axis=1)).save(file, "PNG")

    drawn = changed(avatar, "with_hairstyle", texture=file.getvalue(), turntable=np.array([True]))

    wide, square = (
        np.asarray(Image.open(io.BytesIO(answer["turntable"][0])), float)
        for answer in (drawn, avatar)
    )
    assert np.abs(wide - square).mean() < 0.5


def test_a_damaged_texture_has_no_turntable(avatar):
    png = avatar["texture"][0]
    damaged = png[:40] + bytes(len(png) - 60) + png[-20:]

    with pytest.raises(ServingError, match="texture: ") as refused:
        changed(avatar, "with_hairstyle", texture=damaged, turntable=np.array([True]))
    assert refused.value.code == "INVALID_TENSOR"
