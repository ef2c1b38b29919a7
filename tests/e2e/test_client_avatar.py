# SPDX-License-Identifier: Apache-2.0
"""Avatars and hairstyles through both clients and the command line, with the weights that ship."""

import asyncio
import inspect
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mien import (
    AsyncClient,
    Client,
    InvalidAvatarError,
    InvalidOptionError,
    InvalidRequestError,
    NoFaceError,
)
from mien._cli import main
from mien_server.hair.strand_formats import data_from_strands
from tests.photographs import astronaut, encoded, faceless
from tests.server.avatar.glb_reader import read_glb
from tests.server.avatar.planted_avatars import library

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")
COFFEE = encoded(faceless("coffee"))
FACTS = {"title": "Mine", "licence": "CC0-1.0", "author": "me"}


@pytest.fixture(scope="module")
def address(starter_server):
    return starter_server.grpc_address


@pytest.fixture(scope="module")
def client(address):
    with Client(address) as connected:
        yield connected


@pytest.fixture(scope="module")
def me(client):
    """With a bob, smiling as in the photograph."""
    return client.avatar(PHOTO, hairstyle="bob", texture_size=256, turntable=True)


@pytest.fixture(params=[Client, AsyncClient], ids=["blocking", "awaited"])
def told(request, address):
    """Tells a scenario, ``async def scenario(client)``, with either client."""

    def tell(scenario):
        async def whole():
            client = request.param(address)
            try:
                return await scenario(client)
            finally:
                await now(client.close())

        return asyncio.run(whole())

    return tell


async def now(answer):
    return await answer if inspect.isawaitable(answer) else answer


def strand_file(name="pixie"):
    return data_from_strands(library().hairstyle(name).strands)


def rest(file):
    """Vertices of the head at rest, one array for each material."""
    glb = read_glb(file)
    return [glb.values(primitive.attributes.POSITION) for primitive in glb.primitives("head")]


def slider(file, number):
    """What a slider of the head moves, in one array; 0 is what the file opens with."""
    glb = read_glb(file)
    return np.concatenate(
        [glb.values(glb.targets(primitive)[number]) for primitive in glb.primitives("head")]
    )


def hair(file):
    glb = read_glb(file)
    (primitive,) = glb.primitives("hair")
    return glb.values(primitive.attributes.POSITION)


def reach(file):
    """(2, 3) the corners of the box that the hair fills."""
    return np.stack([hair(file).min(axis=0), hair(file).max(axis=0)])


def opened(png):
    return Image.open(io.BytesIO(png))


def test_a_photograph_becomes_files_of_all_formats(told, tmp_path):
    seen = []

    async def scenario(client):
        avatar = await now(
            client.avatar(PHOTO, hairstyle="bob", texture_size=256, on_progress=seen.append)
        )
        for name in ("me.glb", "me.zip", "me.ply"):
            await now(avatar.save(tmp_path / name))
        bald = await now(avatar.with_hairstyle("none"))
        happy = await now(bald.with_emotion(happiness=1))
        return avatar, bald, happy

    avatar, bald, happy = told(scenario)

    assert [progress.stages_done for progress in seen] == [1, 2, 3, 4, 5]
    assert (seen[0].stage, seen[-1].stage, seen[-1].share) == ("fit", "file", 1)
    assert avatar.quality.similarity > 0.5
    assert not avatar.untrained
    names = [mesh.name for mesh in read_glb((tmp_path / "me.glb").read_bytes()).gltf.meshes]
    assert names == ["head", "hair"]
    with zipfile.ZipFile(tmp_path / "me.zip") as archive:
        assert {"avatar.obj", "avatar.mtl", "avatar_skin.png"} <= set(archive.namelist())
    assert (tmp_path / "me.ply").read_bytes().startswith(b"ply\n")
    assert [mesh.name for mesh in read_glb(bald.file).gltf.meshes] == ["head"]
    assert (happy.hairstyle, happy.emotions["happiness"]) == ("none", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"me.glb", "me.zip", "me.ply"}


def test_an_emotion_moves_the_face_as_its_slider_does_and_leaves_the_person(me):
    angry = me.with_emotion(anger=1)
    half = me.with_emotion({"anger": 0.5})
    calm = me.with_emotion()

    for before, after in zip(rest(me.file), rest(angry.file), strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)
    assert (angry.texture, angry.quality) == (me.texture, me.quality)
    np.testing.assert_array_equal(hair(angry.file), hair(me.file))
    anger = 2  # after what is worn, and happiness
    full = np.linalg.norm(slider(angry.file, 0), axis=1)
    np.testing.assert_allclose(slider(angry.file, 0), slider(me.file, anger), rtol=0, atol=2e-6)
    assert 0.002 < full.max() < 0.05
    assert 0.2 < np.linalg.norm(slider(half.file, 0)) / np.linalg.norm(full) < 0.9
    assert np.abs(slider(calm.file, 0)).max() < 1e-6


def test_a_hairstyle_changes_the_hair_alone(me):
    red = me.with_hairstyle("afro", color="#a03018", form="mesh", level="low")
    back = red.with_hairstyle("bob", form="cards", level="medium")

    for before, after in zip(rest(me.file), rest(red.file), strict=True):
        np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(slider(red.file, 0), slider(me.file, 0))
    assert (red.hairstyle, red.texture) == ("afro", me.texture)
    assert np.ptp(hair(red.file), axis=0).max() > np.ptp(rest(me.file)[0], axis=0)[0]
    np.testing.assert_allclose(hair(back.file), hair(me.file), rtol=0, atol=1e-6)
    assert back.file != me.file  # it is red


def test_a_preview_shows_the_head_from_five_sides(client, me):
    picture = opened(me.preview())
    side = picture.height
    views = np.asarray(picture).reshape(side, 5, side, 3).swapaxes(0, 1).astype(int)
    covered = np.abs(views - views[:, :1, :1]).max(axis=-1) > 8

    assert picture.format == "PNG"
    assert picture.width == 5 * side
    for view in covered:
        assert 0.3 < view.mean() < 0.9
        assert not view[0].any()
        assert not view[:, 0].any()
    # The profiles are each other's mirror images, but for how the hair is parted.
    left, right = covered[4], covered[0][:, ::-1]
    assert (left & right).sum() / (left | right).sum() > 0.9
    front = client.embed(encoded(Image.fromarray(views[2].astype(np.uint8)), "PNG"))
    x, y = np.reshape(front.face.box_xyxy, (2, 2)).mean(axis=0) / side
    assert (x, y) == (pytest.approx(0.5, abs=0.1), pytest.approx(0.55, abs=0.15))


def test_a_preview_shows_what_the_avatar_wears(me):
    bare = me.with_hairstyle("none").with_emotion(surprise=1)

    seen, before = (np.asarray(opened(png.preview())).astype(int) for png in (bare, me))

    assert bare.turntable is None
    assert seen.shape == before.shape
    assert np.abs(seen - before).max() > 60


def test_hairstyles_are_added_worn_shown_and_removed(told, me, client):
    async def scenario(of):
        name = f"mine_{type(of).__name__.lower()}"
        added = await now(of.add_hairstyle(strand_file(), name=name, **FACTS))
        listed = await now(of.hairstyles())
        shown = await now(of.hairstyle_preview(name))
        worn = await asyncio.to_thread(me.with_hairstyle, name)
        await now(of.remove_hairstyle(name))
        return added, listed, shown, worn, await now(of.hairstyles())

    added, listed, shown, worn, left = told(scenario)

    assert added in listed
    assert (added.is_own, added.author) == (True, "me")
    assert {style.name for style in listed} - {style.name for style in left} == {added.name}
    assert sum(not style.is_own for style in left) >= 12
    assert opened(shown).format == "PNG"
    # It is laid on the scalp anew: millimetres from where it came from, and far from a bob.
    same = me.with_hairstyle("pixie")
    np.testing.assert_allclose(reach(worn.file), reach(same.file), rtol=0, atol=0.006)
    assert np.abs(reach(worn.file) - reach(me.file)).max() > 0.02
    with pytest.raises(InvalidOptionError, match=added.name):
        me.with_hairstyle(added.name)
    with pytest.raises(InvalidOptionError, match=added.name):
        client.remove_hairstyle(added.name)


@pytest.mark.parametrize(
    ("call", "error", "code", "words"),
    [
        (lambda of: of.avatar(COFFEE), NoFaceError, "NO_FACE", "no face"),
        (lambda of: of.avatar([PHOTO, COFFEE]), NoFaceError, "NO_FACE", "image 2 of 2"),
        (
            lambda of: of.avatar(PHOTO, hairstyle="mullet"),
            InvalidOptionError, "INVALID_OPTION", "hairstyle is 'mullet'.*, bob,",
        ),
        (
            lambda of: of.avatar(PHOTO, hairstyle="own"),
            InvalidOptionError, "INVALID_OPTION", "no hair_vae",
        ),
        (
            lambda of: of.add_hairstyle(strand_file()[:-9], name="torn", **FACTS),
            InvalidRequestError, "INVALID_TENSOR", "multiple of 4",
        ),
        (
            lambda of: of.add_hairstyle(strand_file()[:-12], name="torn", **FACTS),
            InvalidRequestError, "INVALID_TENSOR", "truncated",
        ),
        (
            lambda of: of.add_hairstyle(strand_file(), name="bob", **FACTS),
            InvalidOptionError, "INVALID_OPTION", "'bob' already",
        ),
        (
            lambda of: of.remove_hairstyle("bob"),
            InvalidOptionError, "INVALID_OPTION", "stays",
        ),
        (
            lambda of: of.hairstyle_preview("mullet"),
            InvalidOptionError, "INVALID_OPTION", "mullet",
        ),
    ],
    ids=["no-face", "second", "style", "own", "torn", "shorter", "taken", "shipped", "unknown"],
)  # fmt: skip
def test_what_the_server_refuses_is_an_error_of_its_own_kind(told, call, error, code, words):
    async def scenario(client):
        with pytest.raises(error, match=words) as caught:
            await now(call(client))
        return caught.value, await now(client.hairstyles())

    refused, left = told(scenario)

    assert refused.code == code
    assert refused.model_name in ("create_avatar", "hairstyles")
    assert refused.request_id
    assert "torn" not in [style.name for style in left]


@pytest.mark.parametrize(
    ("emotions", "words"),
    [
        ({"joy": 1}, "'joy' is unknown.*'happiness'"),
        ({"anger": 1.01}, "anger is 1.01"),
        ({"fear": -0.1}, "fear is -0.1"),
        ({"sadness": float("nan")}, "sadness is nan"),
        ([0.5] * 5, "or six in the order"),
    ],
    ids=["unknown", "above", "below", "nan", "five"],
)
def test_emotions_that_there_are_not_are_refused(client, me, emotions, words):
    for call in (me.with_emotion, lambda emotions: client.avatar(PHOTO, emotions=emotions)):
        with pytest.raises(InvalidOptionError, match=words):
            call(emotions)


def test_an_altered_code_is_refused_by_both_ways_of_changing_an_avatar(me):
    middle = len(me.avatar_code) // 2
    letter = "A" if me.avatar_code[middle] != "A" else "B"
    forged = replace(
        me, avatar_code=me.avatar_code[:middle] + letter + me.avatar_code[middle + 1 :]
    )

    for change in (lambda: forged.with_emotion(anger=1), lambda: forged.with_hairstyle("afro")):
        with pytest.raises(InvalidAvatarError) as caught:
            change()
        assert caught.value.code == "INVALID_AVATAR"


def test_the_command_line_makes_an_avatar_and_draws_it(address, tmp_path, capsys):
    photo, target, sides = (tmp_path / name for name in ("me.png", "me.glb", "sides.png"))
    photo.write_bytes(PHOTO)

    options = ["--hairstyle", "bob", "--texture-size", "256", "--surprise", "0.8"]
    files = ["--out", str(target), "--turntable", str(sides)]
    assert main(["--server", address, "avatar", str(photo), *options, *files]) == 0

    out = capsys.readouterr().out
    assert f"{target}, {target.stat().st_size:,} bytes" in out
    assert "likeness    similarity 0." in out
    moved = np.linalg.norm(slider(target.read_bytes(), 0), axis=1).max()
    assert 0.002 < moved < 0.05
    with Image.open(sides) as picture:
        assert picture.width == 5 * picture.height


def test_the_command_line_lists_adds_shows_and_removes_hairstyles(address, tmp_path, capsys):
    def mien(*words):
        code = main(["--server", address, "--json", "hairstyles", *words])
        return code, json.loads(capsys.readouterr().out)

    file, picture = tmp_path / "my_mop.data", tmp_path / "my_mop.png"
    file.write_bytes(strand_file("crew"))

    added = mien("add", str(file), "--licence", "CC0-1.0", "--author", "me")
    listed = mien("list")
    shown = mien("preview", "my_mop", "--out", str(picture))
    removed = mien("remove", "my_mop")

    assert [code for code, _ in (added, listed, shown, removed)] == [0] * 4
    assert (added[1]["name"], added[1]["is_own"]) == ("my_mop", True)
    assert added[1] in listed[1]["hairstyles"]
    assert opened(picture.read_bytes()).format == "PNG"
    assert removed[1] == {"removed": "my_mop"}
    assert "my_mop" not in [style["name"] for style in mien("list")[1]["hairstyles"]]


def test_the_command_line_says_what_was_refused(address, tmp_path, capsys):
    photo, target = tmp_path / "cup.jpg", tmp_path / "me.glb"
    photo.write_bytes(COFFEE)

    avatar = main(["--server", address, "avatar", str(photo), "--out", str(target)])
    no_face = capsys.readouterr().err
    preview = main(["--server", address, "hairstyles", "preview", "mullet", "--out", str(target)])
    no_style = capsys.readouterr().err

    assert (avatar, preview) == (2, 2)
    assert "NoFaceError" in no_face
    assert "InvalidOptionError" in no_style
    assert not target.exists()
