# SPDX-License-Identifier: Apache-2.0
"""`create_avatar` and the pipelines about it on the real server, with the weights that ship."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh
import tritonclient.grpc as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from mien import Client, FaceTurnedAwayError
from mien_starter.degradation import Degradation
from mien_starter.sheets import calm_shot
from mien_starter.world import World
from tests.e2e.event_stream import EventStream, tensor
from tests.photographs import astronaut, encoded, faceless
from tests.server.avatar.glb_reader import read_glb

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")
COFFEE = encoded(faceless("coffee"))
EMOTIONS = ["happiness", "anger", "sadness", "fear", "contempt", "surprise"]
TURNED_PERSON = 110_100
HAPPY = np.float32([1, 0, 0, 0, 0, 0])


@pytest.fixture(scope="module")
def address(starter_server):
    return starter_server.grpc_address


def create(address, *images, **options):
    return list(EventStream(address, "create_avatar", images=list(images), **options))


@pytest.fixture(scope="module")
def avatar(address):
    """The last event of an avatar with hair."""
    return create(address, PHOTO, hairstyle="bob")[-1]


def infer(address, model, outputs=None, **inputs):
    wanted = outputs and [triton.InferRequestedOutput(name) for name in outputs]
    with triton.InferenceServerClient(address) as client:
        tensors = [tensor(name, value) for name, value in inputs.items()]
        answer = client.infer(model, tensors, outputs=wanted)
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def parts(event):
    return {"avatar_code": event["avatar_code"][0], "texture": event["texture"][0]}


def test_a_photograph_becomes_a_head_with_hair_that_opens_anywhere(address, avatar):
    glb = read_glb(avatar["file"][0])

    assert avatar["event"][0] == b"avatar"
    assert not avatar["untrained"][0]
    names = [mesh.name for mesh in glb.gltf.meshes]
    assert names == ["head", "hair"]
    target_names = glb.gltf.meshes[0].extras["targetNames"]
    assert target_names[:7] == ["expression", *EMOTIONS]
    assert len(target_names) == 7 + 52
    assert glb.gltf.meshes[0].weights[0] == 1
    assert {material.name for material in glb.gltf.materials} == {"skin", "eyes", "hair"}
    low, high = trimesh.load(io.BytesIO(avatar["file"][0]), file_type="glb").bounds
    assert 0.15 < (high - low).min() < (high - low).max() < 0.5
    texture = Image.open(io.BytesIO(avatar["texture"][0]))
    assert texture.size == (512, 512)
    assert avatar["texture"][0] in glb.blob


def test_the_avatar_looks_like_the_photograph_more_than_like_another_person(address, avatar):
    assert avatar["similarity"][0] > 0.5
    assert avatar["difd"][0] == pytest.approx(np.sqrt(2 - 2 * avatar["similarity"][0]), abs=1e-3)
    assert avatar["psnr"][0] > 14
    assert 0.4 < avatar["ssim"][0] <= 1


def test_stages_are_told_in_order_and_the_avatar_comes_last(address):
    events = create(address, PHOTO, progress=True, turntable=True, texture_size=256)

    told = [(e["stage"][0].decode(), int(e["stages_done"][0])) for e in events[:-1]]
    assert told == [("fit", 1), ("texture", 2), ("quality", 3), ("file", 4)]
    assert all(event["stages"][0] == 4 for event in events[:-1])
    assert events[-1]["event"][0] == b"avatar"
    assert Image.open(io.BytesIO(events[-1]["turntable"][0])).size == (1600, 320)
    assert events[-1]["normals"][0] == b""


def test_several_photographs_share_a_shape(address, avatar):
    one = create(address, PHOTO, texture_size=256)[-1]
    smaller = encoded(astronaut().resize((400, 400)), "PNG")

    both = create(address, PHOTO, smaller, texture_size=256)[-1]
    other = create(address, smaller, texture_size=256)[-1]

    np.testing.assert_allclose(both["shape"], (one["shape"] + other["shape"]) / 2, atol=1e-5)
    np.testing.assert_allclose(both["codes"][150:236], one["codes"][150:236], atol=1e-5)


def test_emotions_move_the_head_and_none_leave_it_at_rest(address, avatar):
    happy = infer(address, "apply_emotion", **parts(avatar), emotions=HAPPY)
    none = infer(address, "apply_emotion", **parts(avatar), emotions=0 * HAPPY, output="morph")
    half = infer(
        address, "apply_emotion", avatar_code=happy["avatar_code"][0], emotions=HAPPY / 2,
        output="morph",
    )  # fmt: skip

    assert np.abs(none["expression"]).max() < 1e-6
    assert none["file"][0] == b""
    moved = np.linalg.norm(happy["expression"], axis=1)
    assert 0.003 < moved.max() < 0.05
    assert 0.2 < np.linalg.norm(half["expression"]) / np.linalg.norm(happy["expression"]) < 0.9
    # The slider that the file opens with moves what the server says.
    glb = read_glb(happy["file"][0])
    worn = np.concatenate(
        [glb.values(target.get("POSITION") if isinstance(target, dict) else target.POSITION)
         for target in [primitive.targets[0] for primitive in glb.primitives("head")]]
    )  # fmt: skip
    assert np.linalg.norm(worn, axis=1).max() == pytest.approx(moved.max(), rel=1e-3)


def test_a_hairstyle_is_tried_on_and_the_skin_stays(address, avatar):
    afro = infer(
        address, "try_hairstyle", **parts(avatar), hairstyle="afro",
        hair_color=np.float32([0.1, 0.05, 0.02]),
    )  # fmt: skip
    bald = infer(address, "try_hairstyle", **parts(avatar), hairstyle="none")
    back = infer(
        address,
        "try_hairstyle",
        avatar_code=afro["avatar_code"][0],
        texture=avatar["texture"][0],
        hairstyle="afro",
    )

    assert [m.name for m in read_glb(bald["file"][0]).gltf.meshes] == ["head"]
    assert afro["file"][0] != avatar["file"][0]
    assert back["file"][0] == afro["file"][0]  # the code keeps the colour
    assert avatar["texture"][0] in read_glb(afro["file"][0]).blob


def test_an_avatar_with_nothing_changed_is_the_same_file(address, avatar):
    again = infer(address, "try_hairstyle", **parts(avatar), hairstyle="bob")

    assert again["file"][0] == avatar["file"][0]


@pytest.mark.parametrize("hair_form", ["strands", "mesh"])
def test_hair_comes_in_other_forms_and_the_avatar_as_a_zip(address, avatar, hair_form):
    answer = infer(
        address, "try_hairstyle", **parts(avatar), hairstyle="curly_short", hair_form=hair_form,
        level="low", format="zip",
    )  # fmt: skip

    with zipfile.ZipFile(io.BytesIO(answer["file"][0])) as archive:
        assert {"avatar.obj", "avatar.mtl", "avatar_skin.png"} <= set(archive.namelist())
        lines = archive.read("avatar.obj").decode().splitlines()
    assert sum(line.startswith("l ") for line in lines) == (1000 if hair_form == "strands" else 0)


def test_a_turntable_needs_no_photograph_and_is_the_one_of_the_photographs(address):
    options = {"hairstyle": "bob", "texture_size": 256, "turntable": True}
    made = create(address, PHOTO, expression="neutral", **options)[-1]

    calm = infer(address, "apply_emotion", **parts(made), emotions=0 * HAPPY, turntable=True)
    kept = infer(address, "try_hairstyle", **parts(made), turntable=True)
    happy = infer(
        address, "apply_emotion", **parts(made), emotions=HAPPY, output="morph", turntable=True
    )
    without = infer(address, "try_hairstyle", **parts(made))

    assert made["turntable"][0].startswith(b"\x89PNG")
    assert calm["turntable"][0] == kept["turntable"][0] == made["turntable"][0]
    assert kept["file"][0] == made["file"][0]
    assert happy["turntable"][0] not in (b"", made["turntable"][0])
    assert happy["file"][0] == without["turntable"][0] == b""


def test_what_is_not_asked_for_is_not_made(address, avatar):
    only = infer(address, "try_hairstyle", ["turntable"], **parts(avatar), turntable=True)
    code = infer(address, "try_hairstyle", ["file", "avatar_code"], **parts(avatar), level="low")

    assert only.keys() == {"turntable"}
    assert Image.open(io.BytesIO(only["turntable"][0])).size == (1600, 320)
    assert code.keys() == {"file", "avatar_code"}


def test_a_hairstyle_that_is_left_out_stays(address, avatar):
    named = infer(address, "try_hairstyle", **parts(avatar), hairstyle="bob", level="low")
    kept = infer(address, "try_hairstyle", **parts(avatar), level="low")

    assert kept["file"][0] == named["file"][0] != avatar["file"][0]


def test_the_client_previews_what_it_changed(address):
    with Client(address) as client:
        avatar = client.avatar(PHOTO, texture_size=256).with_hairstyle("afro")
        dyed = avatar.with_hairstyle(color="#20c020")

        pictures = [each.preview() for each in (avatar, dyed, dyed.with_emotion(surprise=1))]

    assert len(set(pictures)) == 3
    assert {Image.open(io.BytesIO(picture)).size for picture in pictures} == {(1600, 320)}


@pytest.fixture(scope="module")
def turned():
    """A synthetic person nobody was trained on, by how far the face is turned, degrees."""
    world = World(320)
    grey = np.full((world.size, world.size, 3), 0.7, np.float32)

    def photograph(yaw_deg):
        shot = calm_shot(yaw_deg=yaw_deg, pitch_deg=0.0)
        shot = replace(shot, camera=shot.camera * np.float32([0.85, 1, 1]))
        rng = np.random.default_rng([TURNED_PERSON, 2004])
        taken = world.photograph_of(
            world.person(TURNED_PERSON), shot, rng, camera=Degradation(), background=grey
        )
        return encoded(Image.fromarray(taken.image_rgb), "PNG")

    return {yaw_deg: photograph(float(yaw_deg)) for yaw_deg in (30, 57)}


def test_a_face_that_is_turned_away_is_refused_with_its_angle(address, turned):
    turn = r"turned by 5[5-9] degrees to the image's right.* at most 50; send"

    with pytest.raises(InferenceServerException, match=f"mien.FACE_TURNED_AWAY: .*{turn}"):
        create(address, turned[57])
    with pytest.raises(InferenceServerException, match=f"image 2 of 2: .*{turn}"):
        create(address, turned[30], turned[57])
    with Client(address) as client, pytest.raises(FaceTurnedAwayError, match=turn):
        client.avatar(turned[57])


def test_a_face_that_is_turned_by_less_becomes_an_avatar(address, turned):
    event = create(address, turned[30], texture_size=256)[-1]

    assert event["similarity"][0] > 0.7


def test_strands_come_as_ply(address, avatar):
    file = infer(
        address, "try_hairstyle", **parts(avatar), hairstyle="bob", format="ply", level="low"
    )["file"][0]

    assert file.startswith(b"ply\n")
    assert b"element vertex 20000\n" in file[:400]


def test_hairstyles_are_listed_and_shown(address):
    entries = [json.loads(e) for e in infer(address, "hairstyles", operation="list")["entries"]]
    shown = infer(address, "hairstyles", operation="preview", name="bob")

    assert len(entries) >= 12
    assert {"name", "title", "licence", "author", "is_own"} <= entries[0].keys()
    assert json.loads(shown["entries"][0])["name"] == "bob"
    assert Image.open(io.BytesIO(shown["preview"][0])).format == "PNG"


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        ([COFFEE], {}, "mien.NO_FACE: no face"),
        ([PHOTO, COFFEE], {}, "mien.NO_FACE: image 2 of 2"),
        ([b"junk"], {}, "mien.UNSUPPORTED_FORMAT"),
        ([PHOTO] * 9, {}, "mien.INVALID_TENSOR: images has 9"),
        ([PHOTO], {"hairstyle": "mullet"}, "mien.INVALID_OPTION: hairstyle is 'mullet'"),
        ([PHOTO], {"hairstyle": "own"}, "mien.INVALID_OPTION: .*no hair_vae"),
        ([PHOTO], {"detail": True}, "mien.INVALID_OPTION: detail is true"),
        ([PHOTO], {"emotions": 2 * HAPPY}, "mien.INVALID_OPTION: the intensity of happiness is 2"),
        ([PHOTO], {"shape_source": "lidar"}, "mien.INVALID_OPTION"),
    ],
    ids=["no face", "second", "no image", "many", "style", "own", "detail", "emotion", "source"],
)
def test_what_cannot_be_made_is_refused_with_the_reason(address, images, options, words):
    with pytest.raises(InferenceServerException, match=words):
        create(address, *images, **options)


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ("apply_emotion", {"avatar_code": b"x", "emotions": HAPPY}, "mien.INVALID_AVATAR"),
        ("try_hairstyle", {"hairstyle": "mullet"}, "mien.INVALID_OPTION: hairstyle"),
        ("try_hairstyle", {"hairstyle": "bob", "texture": b"junk"}, "mien.INVALID_TENSOR: texture"),
        ("apply_emotion", {"emotions": -HAPPY}, "mien.INVALID_OPTION: the intensity"),
        ("hairstyles", {"operation": "paint", "avatar_code": None}, "mien.INVALID_OPTION"),
        ("hairstyles", {"operation": "preview", "avatar_code": None}, "no input name"),
    ],
    ids=["code", "style", "texture", "emotion", "operation", "name"],
)
def test_changes_that_cannot_be_made_are_refused(address, avatar, model, inputs, words):
    given = {"avatar_code": avatar["avatar_code"][0], **inputs}
    given = {name: value for name, value in given.items() if value is not None}

    with pytest.raises(InferenceServerException, match=words):
        infer(address, model, **given)
