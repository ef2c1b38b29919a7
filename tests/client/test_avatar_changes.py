# SPDX-License-Identifier: Apache-2.0
"""Avatars changed and shown in both clients, without their photographs."""

import sys

import numpy as np
import pytest

from mien import (
    InvalidOptionError,
)
from tests.client.avatar_calls import HAPPY, models_called, sent
from tests.fakes.fake_avatars import (
    NORMALS,
    TEXTURE,
    TURNTABLE,
    FakeAvatars,
    sent_inputs,
    told,
)


@pytest.fixture
def triton():
    with FakeAvatars() as server:
        yield server


def test_other_emotions_need_the_code_and_the_texture_but_no_photograph(chain, triton):
    options = {"detail": True, "hair_form": "mesh", "level": "low", "compression": "draco"}

    avatar = chain(("avatar", b"me", options), ("with_emotion", {"happiness": 0.8}))

    assert models_called(triton) == ["create_avatar", "apply_emotion"]
    given = sent(triton)
    assert told(given.pop("avatar_code")) == {"images": ["me"], **options}
    assert given == {
        "texture": TEXTURE.decode("latin-1"), "normals": NORMALS.decode("latin-1"),
        "emotions": HAPPY, "hair_form": "mesh", "level": "low", "compression": "draco",
    }  # fmt: skip
    assert told(avatar.file)["emotions"] == HAPPY
    assert avatar.emotions == {
        "happiness": 0.8, "anger": 0, "sadness": 0, "fear": 0, "contempt": 0, "surprise": 0,
    }  # fmt: skip
    assert avatar.request_id == triton.calls[-1].request.id
    assert (avatar.texture, avatar.quality.psnr) == (TEXTURE, 24)


def test_no_emotion_is_a_neutral_face(chain, triton):
    chain(("avatar", b"me", {"fear": 1}), ("with_emotion",))

    assert sent(triton)["emotions"] == [0] * 6


def test_another_hairstyle_needs_the_code_and_the_texture_but_no_photograph(chain, triton):
    change = ("with_hairstyle", "bob", {"color": "#ff0000", "form": "strands", "level": "high"})

    avatar = chain(("avatar", b"me"), change)

    assert models_called(triton) == ["create_avatar", "try_hairstyle"]
    given = sent(triton)
    assert told(given.pop("avatar_code")) == {"images": ["me"]}
    assert given == {
        "texture": TEXTURE.decode("latin-1"), "hairstyle": "bob", "hair_color": [1, 0, 0],
        "hair_form": "strands", "level": "high",
    }  # fmt: skip
    assert avatar.hairstyle == "bob"


def test_changes_build_on_each_other(chain, triton):
    avatar = chain(
        ("avatar", b"me"),
        ("with_hairstyle", "bob", {"form": "mesh", "color": [1, 1, 1]}),
        ("with_emotion", {"fear": 1}),
        ("with_hairstyle", "bun"),
    )

    assert sent(triton)["hair_form"] == "mesh"
    assert "hair_color" not in sent(triton), "the code has it"
    assert told(sent(triton)["avatar_code"])["emotions"] == [0, 0, 0, 1, 0, 0]
    assert (avatar.hairstyle, avatar.emotions["fear"]) == ("bun", 1)


def test_a_change_leaves_the_avatar_as_it_was(client):
    avatar = client.avatar(b"me", hairstyle="bob", turntable=True)

    changed = avatar.with_emotion(happiness=1)

    assert told(avatar.file) == {"images": ["me"], "hairstyle": "bob", "turntable": True}
    assert (avatar.emotions, avatar.turntable) == (None, TURNTABLE)
    assert changed.turntable is None, "it shows the face as it was"


def test_a_preview_that_came_with_the_avatar_is_not_asked_for_again(chain, triton):
    assert chain(("avatar", b"me", {"turntable": True}), ("preview",)) == TURNTABLE
    assert len(triton.calls) == 1


def test_a_preview_needs_the_code_and_the_texture_but_no_photograph(chain, triton):
    png = chain(
        ("avatar", [b"me", b"again"], {"level": "low", "detail": True}),
        ("with_emotion", {"happiness": 0.8}),
        ("with_hairstyle", "bob"),
        ("in_format", "zip"),
        ("preview",),
    )

    assert png == TURNTABLE
    assert models_called(triton)[-1] == "try_hairstyle"
    given = sent(triton)
    assert told(given.pop("avatar_code"))["format"] == "zip", "the code is of the latest avatar"
    assert given == {"texture": TEXTURE.decode("latin-1"), "turntable": True}
    assert [output.name for output in triton.calls[-1].request.outputs] == ["turntable"]


def test_an_avatar_keeps_no_photograph(client):
    photograph = np.full((2, 3, 3), 7, np.uint8)
    held = sys.getrefcount(photograph)

    avatar = client.avatar(photograph).with_emotion(fear=1)

    assert sys.getrefcount(photograph) == held
    assert not hasattr(avatar.order, "images")


def test_hair_is_dyed_and_written_in_another_form_as_it_is(chain, triton):
    avatar = chain(
        ("avatar", b"me", {"hairstyle": "bob"}),
        ("with_hairstyle", {"form": "mesh", "level": "high"}),
        ("with_hairstyle", {"color": "#00ff00"}),
    )

    first, second = (sent_inputs(call.request) for call in triton.calls[1:])
    for given in (first, second):
        assert "hairstyle" not in given, "the code has it"
        assert (given["hair_form"], given["level"]) == ("mesh", "high")
    assert "hair_color" not in first
    assert second["hair_color"] == [0, 1, 0]
    assert avatar.hairstyle == "bob"


@pytest.mark.parametrize(
    "change",
    [
        ("with_emotion", {"happiness": 2}),
        ("with_emotion", {"joy": 0.5}),
        ("with_hairstyle", ""),
        ("with_hairstyle", "bob", {"form": "wig"}),
        ("with_hairstyle", "bob", {"color": "brown"}),
        ("in_format", "fbx"),
    ],
    ids=str,
)
def test_a_change_that_no_server_would_take_is_refused_at_the_door(chain, triton, change):
    if change == ("with_emotion", {"joy": 0.5}):
        change = ("with_emotion", {"emotions": {"joy": 0.5}})
    with pytest.raises(InvalidOptionError):
        chain(("avatar", b"me"), change)

    assert len(triton.calls) == 1
