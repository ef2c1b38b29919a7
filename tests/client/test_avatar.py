# SPDX-License-Identifier: Apache-2.0
"""Avatars in both clients: what is sent, what comes, and what is told on the way."""

import asyncio
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mien import (
    AsyncAvatar,
    AsyncClient,
    Avatar,
    AvatarProgress,
    Client,
    ContractError,
    InvalidAvatarError,
    InvalidImageError,
    InvalidOptionError,
    NoFaceError,
    RequestCancelledError,
    ServerError,
    ServerUnavailableError,
)
from tests.fakes.fake_avatars import (
    NORMALS,
    TEXTURE,
    TURNTABLE,
    FakeAvatars,
    avatar_event,
    sent_inputs,
    stage_event,
    told,
)
from tests.fakes.fake_triton import Hang, Refusal, Stream, grpc, unbatched, unbatched_text

PATIENCE_S = 10
HAPPY = [pytest.approx(0.8), 0, 0, 0, 0, 0]


@pytest.fixture
def triton():
    with FakeAvatars() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def chain(request, triton):
    """``chain(("avatar", b"me"), ("save", path))``: each method of what the one before returned.

    The last element of a call may be a dict of keyword arguments.
    """

    def parts(call):
        name, *args = call
        return name, args, args.pop() if args and isinstance(args[-1], dict) else {}

    def chain_sync(*calls):
        with Client(triton.address) as subject:
            for name, args, kwargs in map(parts, calls):
                subject = getattr(subject, name)(*args, **kwargs)
            return subject

    def chain_async(*calls):
        async def run():
            async with AsyncClient(triton.address) as subject:
                for name, args, kwargs in map(parts, calls):
                    subject = await getattr(subject, name)(*args, **kwargs)
                return subject

        return asyncio.run(run())

    return chain_sync if request.param == "sync" else chain_async


def sent(triton):
    return sent_inputs(triton.calls[-1].request)


def models_called(triton):
    return [call.model_name for call in triton.calls]


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
    assert sent(triton)["hair_color"] == [1, 1, 1]
    assert told(sent(triton)["avatar_code"])["emotions"] == [0, 0, 0, 1, 0, 0]
    assert (avatar.hairstyle, avatar.emotions["fear"]) == ("bun", 1)


def test_a_change_leaves_the_avatar_as_it_was(client):
    avatar = client.avatar(b"me", hairstyle="bob", turntable=True)

    changed = avatar.with_emotion(happiness=1)

    assert told(avatar.file) == {"images": ["me"], "hairstyle": "bob", "turntable": True}
    assert (avatar.emotions, avatar.turntable) == (None, TURNTABLE)
    assert changed.turntable is None, "it shows the face as it was"


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
    assert saved == {"texture": TEXTURE.decode("latin-1"), "hairstyle": "bob", "format": "zip"}


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


def test_a_preview_that_came_with_the_avatar_is_not_asked_for_again(chain, triton):
    assert chain(("avatar", b"me", {"turntable": True}), ("preview",)) == TURNTABLE
    assert len(triton.calls) == 1


def test_a_preview_is_asked_for_with_the_photographs_and_all_changes(chain, triton):
    png = chain(
        ("avatar", [b"me", b"again"], {"level": "low", "expression": "neutral"}),
        ("with_emotion", {"happiness": 0.8}),
        ("with_hairstyle", "bob"),
        ("in_format", "zip"),
        ("preview",),
    )

    assert png == TURNTABLE
    assert models_called(triton)[-1] == "create_avatar"
    assert sent(triton) == {
        "images": ["me", "again"], "level": "low", "expression": "emotions", "emotions": HAPPY,
        "hairstyle": "bob", "turntable": True, "progress": False,
    }  # fmt: skip
    assert {output.name for output in triton.calls[-1].request.outputs} == {"event", "turntable"}


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


def test_a_photograph_that_is_none_is_named(call, triton):
    with pytest.raises(InvalidImageError, match="photo 2 is a int"):
        call("avatar", [b"me", 7])

    assert triton.calls == []


def test_a_refusal_in_the_stream_is_typed(call, triton):
    triton.script("create_avatar", Stream(("mien.NO_FACE: images[0]: no face; try another",)))

    with pytest.raises(NoFaceError, match="try another") as caught:
        call("avatar", b"me")

    assert caught.value.model_name == "create_avatar"
    assert caught.value.request_id == triton.calls[0].request.id


def test_a_code_of_another_server_is_refused_with_its_own_error(chain, triton):
    words = "mien.INVALID_AVATAR: the code is of another server"
    triton.script("apply_emotion", Refusal(grpc.StatusCode.INVALID_ARGUMENT, words))

    with pytest.raises(InvalidAvatarError, match="another server"):
        chain(("avatar", b"me"), ("with_emotion", {"fear": 1}))


def test_a_hairstyle_that_is_unknown_is_an_option_that_is_not_allowed(chain, triton):
    words = "mien.INVALID_OPTION: hairstyle 'mop' is unknown"
    triton.script("try_hairstyle", Refusal(grpc.StatusCode.INVALID_ARGUMENT, words))

    with pytest.raises(InvalidOptionError, match="'mop' is unknown"):
        chain(("avatar", b"me"), ("with_hairstyle", "mop"))


def test_an_overloaded_server_is_asked_again_until_the_first_event(call, triton):
    triton.script("create_avatar", Stream(("mien.OVERLOADED: 8 avatars are being made",)))

    assert call("avatar", b"me").quality.psnr == 24
    assert len(triton.calls) == 2


def test_a_server_that_breaks_down_half_way_is_not_asked_again(call, triton):
    half = Stream((stage_event("fit", 1, 4), Refusal(grpc.StatusCode.UNAVAILABLE, "gone")))
    triton.script("create_avatar", half)

    with pytest.raises(ServerUnavailableError):
        call("avatar", b"me", on_progress=lambda progress: None)

    assert len(triton.calls) == 1


def test_an_overloaded_server_is_asked_again_for_a_change(client, triton):
    avatar = client.avatar(b"me")
    triton.script("apply_emotion", Refusal(grpc.StatusCode.UNAVAILABLE, "mien.OVERLOADED: busy"))

    assert avatar.with_emotion(fear=1).emotions["fear"] == 1


def test_figures_that_are_not_known_are_nan_and_null(call, triton):
    psnr = unbatched("FP32", "f", math.nan)
    triton.script("create_avatar", Stream((avatar_event(psnr=psnr),)))

    avatar = call("avatar", b"me")

    assert math.isnan(avatar.quality.psnr)
    assert avatar.to_dict()["quality"]["psnr"] is None


WRONG = {
    "no avatar": (Stream((stage_event("fit", 1, 4),)), "no avatar came"),
    "no end": (Stream((avatar_event(),), is_complete=False), "ended without its final message"),
    "codes": (
        Stream((avatar_event(codes=unbatched("FP32", "f", *[math.inf] * 236)),)),
        "'codes' holds NaN or infinity",
    ),
    "short": (Stream((avatar_event(shape=unbatched("FP32", "f", 0)),)), "expected FP32 (300,)"),
}


@pytest.mark.parametrize(("script", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_avatar_breaks_the_contract(call, triton, script, words):
    triton.script("create_avatar", script)

    with pytest.raises(ContractError) as caught:
        call("avatar", b"me")

    assert words in str(caught.value)


def test_a_preview_that_is_empty_breaks_the_contract(chain, triton):
    triton.script("create_avatar", Stream((avatar_event(),)), Stream((avatar_event(),)))

    with pytest.raises(ContractError, match="turntable is empty"):
        chain(("avatar", b"me"), ("preview",))


def test_events_of_a_newer_server_are_skipped(call, triton):
    news = {**stage_event("fit", 1, 4), "event": unbatched_text(b"news")}
    triton.script("create_avatar", Stream((news, avatar_event(), news)))

    assert call("avatar", b"me").quality.ssim == 0.875


def test_untrained_weights_are_told(chain, triton):
    untrained = unbatched("BOOL", "?", True)
    triton.script("create_avatar", Stream((avatar_event(untrained=untrained),)))

    assert chain(("avatar", b"me")).untrained is True


def test_an_error_of_the_listener_cancels_the_work(call, triton):
    def leave(progress):
        raise ZeroDivisionError

    triton.script("create_avatar", Stream((stage_event("fit", 1, 4), Hang())))

    with pytest.raises(ZeroDivisionError):
        call("avatar", b"me", on_progress=leave)

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_cancelling_the_task_cancels_the_work(triton):
    triton.script("create_avatar", Stream((Hang(),)))

    async def scenario():
        async with AsyncClient(triton.address) as client:
            task = asyncio.create_task(client.avatar(b"me"))
            assert await asyncio.to_thread(triton.received.wait, PATIENCE_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(triton.calls[0].cancelled.wait, PATIENCE_S)

    asyncio.run(scenario())


def test_a_server_that_gives_up_is_told_as_such(call, triton):
    triton.script("create_avatar", Stream(("mien.CANCELLED: the caller went away",)))

    with pytest.raises(RequestCancelledError):
        call("avatar", b"me")


def test_a_model_that_fails_is_told_as_such(call, triton):
    triton.script("create_avatar", Stream(("mien.MODEL_FAILED: flame_decoder broke",)))

    with pytest.raises(ServerError, match="flame_decoder"):
        call("avatar", b"me")


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
