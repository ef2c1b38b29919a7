# SPDX-License-Identifier: Apache-2.0
"""`create_avatar` with models whose answers are known."""

import io

import numpy as np
import pytest
from PIL import Image

from mien_server.avatar.choices import EMOTIONS
from mien_server.avatar.hair_finding import USUAL
from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.asking import HAPPY, PHOTO, TURNED, asked, changed, morph, opened
from tests.server.avatar.glb_reader import read_glb
from tests.server.avatar.planted_avatars import PlantedModels, Stream


@pytest.fixture(scope="module")
def avatar():
    stream = asked(PHOTO, hairstyle="bob", hair_color=np.float32([0.5, 0.25, 0.125]))
    assert stream.refusal is None
    return stream.events[-1]


def test_an_avatar_of_a_known_head_looks_like_its_photograph(avatar):
    """The face's pattern comes from the photograph alone; the model's albedo is plain."""
    assert avatar["psnr"][0] > 30
    assert avatar["ssim"][0] > 0.95
    assert avatar["similarity"][0] > 0.98
    assert avatar["difd"][0] == pytest.approx(np.sqrt(2 - 2 * avatar["similarity"][0]), abs=1e-3)


def test_the_code_holds_what_makes_the_avatar_again(avatar):
    code = opened(avatar)

    assert code.hairstyle == "bob"
    assert code.hair_color == (0.5, 0.25, 0.125)
    np.testing.assert_array_equal(code.codes, avatar["codes"])
    np.testing.assert_array_equal(code.shape, avatar["shape"])
    again = changed(avatar, "with_hairstyle", hairstyle="bob")
    assert again["file"][0] == avatar["file"][0]


def test_events_tell_of_every_stage_of_the_request():
    stream = asked(PHOTO, progress=[True], helpers={"detail": True}, hairstyle="buzz")

    told = [event["stage"][0].decode() for event in stream.events[:-1]]
    assert told == ["fit", "detail", "texture", "hair", "quality", "file"]
    assert [int(event["stages_done"][0]) for event in stream.events[:-1]] == [1, 2, 3, 4, 5, 6]
    assert {int(event["stages"][0]) for event in stream.events[:-1]} == {6}
    assert stream.is_closed


def test_work_ends_where_nobody_listens():
    models = PlantedModels()
    stream = asked(PHOTO, models=models, stream=Stream(cancelled=True))

    assert stream.refusal.code == "CANCELLED"
    assert models.together == [["fit_faces"]]


def test_photographs_go_through_one_call_and_what_is_independent_at_once():
    models = PlantedModels()
    stream = asked(PHOTO, TURNED, models=models, helpers={"detail": True})

    assert models.together[0] == ["fit_faces", "face_cropper"]
    assert models.together[1] == ["texture_decoder", "detail_encoder"]
    assert stream.events[-1]["normals"][0]
    np.testing.assert_allclose(stream.events[-1]["shape"], 0.05)
    np.testing.assert_allclose(stream.events[-1]["codes"][CODE_PARTS["shape"]], 0.05)
    np.testing.assert_allclose(stream.events[-1]["codes"][CODE_PARTS["texture"]], 0.5)
    assert stream.events[-1]["codes"][CODE_PARTS["pose"]].tolist() == [0] * 6  # of the first


def test_wrinkles_are_drawn_where_there_are_networks_for_them():
    drawn = asked(PHOTO, helpers={"detail": True}).events[-1]
    plain = asked(PHOTO, helpers={"detail": True}, detail=[False]).events[-1]

    normals = np.asarray(Image.open(io.BytesIO(drawn["normals"][0])))
    assert normals.shape == (256, 256, 3)
    assert np.ptp(normals[..., :2].astype(int)) > 20
    assert plain["normals"][0] == b""


def test_the_worn_expression_is_a_slider_at_its_end_and_neutral_wears_none():
    worn = asked(PHOTO, models=PlantedModels(expression=2.0)).events[-1]
    neutral = asked(PHOTO, models=PlantedModels(expression=2.0), expression="neutral").events[-1]

    expected = planted.head_of(np.zeros(300), np.eye(100)[0] * 2, np.zeros(15))
    expected -= planted.asset().vertices
    glb = read_glb(worn["file"][0])
    assert glb.gltf.meshes[0].weights[0] == 1
    found = np.linalg.norm(morph(glb, 0), axis=1).max()
    assert found == pytest.approx(np.linalg.norm(expected, axis=1).max(), rel=1e-3)
    assert np.abs(morph(read_glb(neutral["file"][0]), 0)).max() == 0
    assert worn["codes"][150] == neutral["codes"][150] == 2  # what was detected stays on record


def test_sliders_are_emotions_and_arkit_s_names_as_far_as_the_head_has_them(avatar):
    glb = read_glb(avatar["file"][0])
    names = glb.gltf.meshes[0].extras["targetNames"]

    assert names[:7] == ["expression", *EMOTIONS]
    assert len(names) == 7 + 50
    assert glb.gltf.asset.extras["absentTargets"] == [*planted.STILL]
    assert glb.gltf.asset.extras["licences"] == ["Head model: CC0."]


def test_emotions_of_a_request_are_worn_and_sealed():
    event = asked(PHOTO, emotions=HAPPY / 2).events[-1]

    assert opened(event).codes[151] == 0.5
    assert event["codes"][151] == 0


def test_hair_on_a_bald_head_without_brows_is_brown():
    """The planted head has skin all over, and no brows."""
    event = asked(PHOTO, hairstyle="buzz").events[-1]

    np.testing.assert_allclose(opened(event).hair_color, USUAL)


@pytest.mark.parametrize(
    ("images", "options", "code", "words"),
    [
        ([b"x"], {}, "NO_FACE", "^mien.NO_FACE: nobody"),
        ([PHOTO, b"x"], {}, "NO_FACE", "image 2 of 2: nobody"),
        ([PHOTO] * 3, {}, "INVALID_TENSOR", "send 1 to 2"),
        ([PHOTO], {"hairstyle": "mullet"}, "INVALID_OPTION", "'mullet'; it must be one of buzz"),
        ([PHOTO], {"hairstyle": "own"}, "INVALID_OPTION", "no hair_vae"),
        ([PHOTO], {"detail": [True]}, "INVALID_OPTION", "no detail_encoder"),
    ],
)
def test_refusals_say_what_came_and_what_is_allowed(images, options, code, words):
    stream = asked(*images, **options)

    assert stream.refusal.code == code
    with pytest.raises(ServingError, match=words):
        raise stream.refusal
    assert not stream.events


def test_vertices_that_are_no_numbers_are_the_model_s_fault():
    class Broken(PlantedModels):
        def flame_decoder(self, shape, expression, pose):
            return {"vertices": super().flame_decoder(shape, expression, pose)["vertices"] * np.nan}

    assert asked(PHOTO, models=Broken()).refusal.code == "MODEL_FAILED"
