# SPDX-License-Identifier: Apache-2.0
"""Avatars written to files, to JSON and to the screen, by both clients."""

import pytest

from mien import (
    InvalidOptionError,
)
from tests.client.avatar_calls import HAPPY, models_called
from tests.fakes.fake_avatars import (
    TEXTURE,
    FakeAvatars,
    avatar_event,
    told,
)
from tests.fakes.fake_triton import Stream, unbatched_text


@pytest.fixture
def triton():
    with FakeAvatars() as server:
        yield server


def test_an_avatar_is_saved_as_it_is(chain, triton, tmp_path):
    chain(("avatar", b"me"), ("save", tmp_path / "me.GLB"))

    assert told((tmp_path / "me.GLB").read_bytes()) == {"images": ["me"]}
    assert len(triton.calls) == 1


def test_an_avatar_is_saved_in_another_format_with_the_face_that_it_wears(chain, triton, tmp_path):
    path = str(tmp_path / "me.zip")

    chain(
        ("avatar", b"me", {"hairstyle": "bob", "compression": "draco"}),
        ("with_emotion", {"happiness": 0.8}),
        ("save", path),
    )

    assert models_called(triton) == ["create_avatar", "apply_emotion", "try_hairstyle"]
    saved = told((tmp_path / "me.zip").read_bytes())
    assert told(saved.pop("avatar_code"))["emotions"] == HAPPY
    assert saved == {"texture": TEXTURE.decode("latin-1"), "format": "zip"}


def test_one_avatar_is_saved_in_every_format(client, tmp_path):
    avatar = client.avatar(b"me", hairstyle="bob", format="zip")

    for name in ("me.glb", "me.zip", "me.ply"):
        avatar.save(tmp_path / name)

    files = {path.name: told(path.read_bytes())["format"] for path in tmp_path.iterdir()}
    assert files == {"me.glb": "glb", "me.zip": "zip", "me.ply": "ply"}


@pytest.mark.parametrize("name", ["me.obj", "me", "me.png"])
def test_a_path_of_another_suffix_is_refused(chain, triton, tmp_path, name):
    with pytest.raises(InvalidOptionError, match=r"\.glb, a \.zip"):
        chain(("avatar", b"me"), ("save", tmp_path / name))

    assert len(triton.calls) == 1


def test_a_file_that_cannot_be_written_is_refused_and_leaves_nothing(chain, tmp_path):
    (tmp_path / "me.glb").mkdir()

    with pytest.raises(InvalidOptionError, match="cannot be written"):
        chain(("avatar", b"me"), ("save", tmp_path / "me.glb"))

    assert [path.name for path in tmp_path.iterdir()] == ["me.glb"]


def test_an_avatar_without_hair_is_no_ply(chain, triton, tmp_path):
    with pytest.raises(InvalidOptionError, match="hair alone"):
        chain(("avatar", b"me"), ("save", tmp_path / "me.ply"))

    assert len(triton.calls) == 1


def test_codes_files_and_photographs_are_not_shown_by_repr(client):
    shown = repr(client.avatar(b"secret face", hairstyle="bob"))

    assert "secret" not in shown
    assert "bob" not in shown
    assert "similarity=0.75" in shown


def test_values_for_json_hold_the_code_but_no_files(client):
    avatar = client.avatar(b"me", hairstyle="bob", happiness=0.5)
    values = avatar.to_dict()

    assert values["avatar_code"] == avatar.avatar_code
    assert (values["format"], values["hairstyle"]) == ("glb", "bob")
    assert values["emotions"]["happiness"] == 0.5
    assert len(values["codes"]) == 236
    assert not {"file", "texture", "normals", "turntable"} & set(values)


def test_answers_larger_than_grpc_allows_by_itself_are_taken(call, triton):
    large = bytes(20_000_000)
    triton.script("create_avatar", Stream((avatar_event(file=unbatched_text(large)),)))

    assert call("avatar", b"me").file == large
