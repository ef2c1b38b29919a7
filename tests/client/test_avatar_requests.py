# SPDX-License-Identifier: Apache-2.0
"""What is sent for an avatar, and what comes, in both clients."""

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mien import (
    AsyncAvatar,
    Avatar,
    AvatarProgress,
    InvalidImageError,
    InvalidOptionError,
)
from tests.client.avatar_calls import HAPPY, sent
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


def test_an_avatar_holds_what_the_server_said(call, triton):
    avatar = call("avatar", b"me", detail=True)

    assert isinstance(avatar, (Avatar, AsyncAvatar))
    assert told(avatar.file) == told(avatar.avatar_code) == {"images": ["me"], "detail": True}
    assert (avatar.format, avatar.hairstyle, avatar.emotions) == ("glb", "none", None)
    assert (avatar.texture, avatar.normals, avatar.turntable) == (TEXTURE, NORMALS, None)
    quality = avatar.quality
    assert (quality.similarity, quality.difd, quality.psnr, quality.ssim) == (0.75, 0.5, 24, 0.875)
    assert_array_equal(avatar.codes, np.arange(236))
    assert_array_equal(avatar.shape, np.arange(300))
    assert avatar.untrained is False
    assert avatar.request_id == triton.calls[-1].request.id


def test_what_was_left_out_is_not_sent(call, triton):
    call("avatar", b"me")

    assert sent(triton) == {"images": ["me"]}
    assert triton.calls[-1].request.parameters["triton_enable_empty_final_response"].bool_param


def test_every_option_is_sent(call, triton):
    options = {
        "hairstyle": "bob", "hair_form": "strands", "level": "high", "texture_size": 1024,
        "detail": False, "shape_source": "mica", "face_policy": "single", "format": "glb",
        "compression": "draco", "turntable": True, "expression": "neutral",
    }  # fmt: skip

    avatar = call("avatar", [b"me", b"again"], hair_color=(0.25, 0, 1), **options)

    assert sent(triton) == {**options, "images": ["me", "again"], "hair_color": [0.25, 0, 1]}
    assert (avatar.hairstyle, avatar.turntable) == ("bob", TURNTABLE)


@pytest.mark.parametrize(
    "emotions",
    [
        {"happiness": 0.8},
        {"emotions": {"happiness": 0.8}},
        {"emotions": (0.8, 0, 0, 0, 0, 0)},
        {"emotions": np.array([0.8, 0, 0, 0, 0, 0], np.float32)},
    ],
    ids=["argument", "mapping", "six", "array"],
)
def test_emotions_are_sent_in_the_order_of_the_contract(call, triton, emotions):
    avatar = call("avatar", b"me", **emotions)

    assert sent(triton)["emotions"] == HAPPY
    assert list(avatar.emotions) == [
        "happiness", "anger", "sadness", "fear", "contempt", "surprise",
    ]  # fmt: skip


def test_every_emotion_has_its_own_place(client, triton):
    names = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
    client.avatar(b"me", **{name: number / 8 for number, name in enumerate(names)})

    assert sent(triton)["emotions"] == [0, 1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8]


@pytest.mark.parametrize("color", ["#ff0080", "ff0080", [1, 0, 128 / 255]])
def test_a_colour_is_three_numbers_or_six_digits(client, triton, color):
    client.avatar(b"me", hair_color=color)

    assert sent(triton)["hair_color"] == pytest.approx([1, 0, 128 / 255])


def test_photographs_come_in_every_form(client, triton, tmp_path):
    path = tmp_path / "me.jpg"
    path.write_bytes(b"from a file")

    client.avatar([path, b"bytes", np.zeros((2, 3, 3), np.uint8)])
    client.avatar(path)

    images = sent_inputs(triton.calls[0].request)["images"]
    assert images[:2] == ["from a file", "bytes"]
    assert images[2].encode("latin-1").startswith(b"\x89PNG")
    assert sent(triton)["images"] == ["from a file"]


def test_progress_is_told_by_stage(call, triton):
    seen = []

    call("avatar", b"me", on_progress=seen.append)

    assert sent(triton) == {"images": ["me"], "progress": True}
    assert seen == [
        AvatarProgress("fit", 1, 4), AvatarProgress("texture", 2, 4), AvatarProgress("hair", 3, 4),
        AvatarProgress("file", 4, 4),
    ]  # fmt: skip
    assert [progress.share for progress in seen] == [0.25, 0.5, 0.75, 1]


REFUSED = {
    "above 1": ((b"me",), {"happiness": 1.01}, "intensity of happiness is 1.01"),
    "below 0": ((b"me",), {"emotions": {"fear": -0.1}}, "between 0, for none, and 1"),
    "no number": ((b"me",), {"anger": math.nan}, "intensity of anger is nan"),
    "text": ((b"me",), {"anger": "much"}, "intensity of anger is 'much'"),
    "unknown": ((b"me",), {"emotions": {"joy": 0.5}}, "emotion 'joy' is unknown; allowed are"),
    "five": ((b"me",), {"emotions": [0.1] * 5}, "or six in the order 'happiness'"),
    "a name": ((b"me",), {"emotions": "fear"}, "emotions is 'fear'"),
    "twice": ((b"me",), {"emotions": {"fear": 1}, "anger": 1}, "both emotions and anger"),
    "nobody": (([],), {}, "0 photographs came"),
    "nine": (([b"me"] * 9,), {}, "9 photographs came; allowed are 1 to 8"),
    "texture": ((b"me",), {"texture_size": 500}, "allowed are 256, 512, 1024"),
    "form": ((b"me",), {"hair_form": "wig"}, "'cards', 'strands', 'mesh'"),
    "level": ((b"me",), {"level": "best"}, "'high', 'medium', 'low'"),
    "format": ((b"me",), {"format": "fbx"}, "'glb', 'zip', 'ply'"),
    "compression": ((b"me",), {"compression": "zip"}, "'none', 'draco'"),
    "policy": ((b"me",), {"face_policy": "all"}, "'largest', 'single'"),
    "source": ((b"me",), {"shape_source": "flame"}, "'deca', 'mica', 'mean'"),
    "expression": ((b"me",), {"expression": "sad"}, "'detected', 'neutral', 'emotions'"),
    "contradiction": ((b"me",), {"expression": "neutral", "fear": 1}, "leave one of them out"),
    "none came": ((b"me",), {"expression": "emotions"}, "and none came"),
    "no hair": ((b"me",), {"format": "ply"}, "hair alone"),
    "compressed zip": ((b"me",), {"format": "zip", "compression": "draco"}, "only 'glb'"),
    "no name": ((b"me",), {"hairstyle": ""}, "hairstyle is ''"),
    "colour": ((b"me",), {"hair_color": "brown"}, "hair colour is 'brown'"),
    "bright": ((b"me",), {"hair_color": (0, 0, 255)}, "from 0 to 1"),
    "grey": ((b"me",), {"hair_color": (0.5,)}, "red, green and blue"),
    "deadline": ((b"me",), {"deadline_s": 0}, "deadline_s is 0"),
}


@pytest.mark.parametrize(("args", "options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_no_server_would_take_is_refused_at_the_door(call, triton, args, options, words):
    with pytest.raises(InvalidOptionError) as caught:
        call("avatar", *args, **options)

    assert words in str(caught.value)
    assert triton.calls == []


def test_a_photograph_that_is_none_is_named(call, triton):
    with pytest.raises(InvalidImageError, match="photo 2 is a int"):
        call("avatar", [b"me", 7])

    assert triton.calls == []
