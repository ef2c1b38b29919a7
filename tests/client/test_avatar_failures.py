# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with avatars in both clients, and what is told of it."""

import asyncio
import math

import pytest

from mien import (
    AsyncClient,
    ContractError,
    FaceTurnedAwayError,
    InvalidAvatarError,
    InvalidOptionError,
    NoFaceError,
    RequestCancelledError,
    ServerError,
    ServerUnavailableError,
)
from tests.fakes.fake_avatars import (
    FakeAvatars,
    avatar_event,
    stage_event,
)
from tests.fakes.fake_triton import Hang, Refusal, Reply, Stream, grpc, unbatched, unbatched_text

PATIENCE_S = 10


@pytest.fixture
def triton():
    with FakeAvatars() as server:
        yield server


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
    triton.script("try_hairstyle", Reply({"turntable": unbatched_text(b"")}))

    with pytest.raises(ContractError, match="turntable is empty"):
        chain(("avatar", b"me"), ("preview",))


def test_a_face_that_is_turned_away_has_an_error_of_its_own(call, triton):
    words = "mien.FACE_TURNED_AWAY: the face is turned by 70 degrees to the image's left"
    triton.script("create_avatar", Stream((words,)))

    with pytest.raises(FaceTurnedAwayError, match="by 70 degrees") as caught:
        call("avatar", b"me")

    assert caught.value.code == "FACE_TURNED_AWAY"


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


def test_a_stream_that_has_come_to_its_end_is_not_cancelled(call, triton):
    """Triton can lose a request that is cancelled while it ends."""
    triton.script("create_avatar", Stream((avatar_event(),), lingers_s=0.3))

    call("avatar", b"me")

    triton.__exit__()
    assert not triton.calls[0].cancelled.is_set()
