# SPDX-License-Identifier: Apache-2.0
"""How `generate` fails in both clients: refusals, malformed messages, retries, deadlines."""

import time

import grpc
import pytest

from mien import (
    AsyncClient,
    Client,
    ContractError,
    DeadlineExceededError,
    FakeTransport,
    InvalidImageError,
    InvalidOptionError,
    InvalidRequestError,
    MessageLimits,
    NoFaceError,
    ServerError,
    ServerUnavailableError,
)
from tests.client.generation_scripts import (
    FACE,
    HANGS,
    OVERLOADED,
    PATIENCE_S,
    PROGRESS,
    STARTED,
)
from tests.fakes.fake_triton import Hang, Refusal, Stream, generation_event, unbatched

S = grpc.StatusCode


def test_a_refusal_ends_the_stream_with_its_error(generate, triton, monkeypatch):
    monkeypatch.setattr("mien._message_streams.END_S", 0.05)
    triton.script("generate_faces", Stream(("mien.NO_FACE: identity_image: none", Hang())))

    with pytest.raises(NoFaceError) as caught:
        generate(b"me")

    assert str(caught.value) == "identity_image: none"
    assert (caught.value.code, caught.value.status) == ("NO_FACE", None)
    assert caught.value.model_name == "generate_faces"
    assert caught.value.request_id == triton.calls[0].request.id
    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_a_refusal_in_the_middle_comes_after_the_events_before_it(generate, triton):
    triton.script("generate_faces", Stream((STARTED, PROGRESS, "mien.MODEL_FAILED: broken")))
    seen = []

    with pytest.raises(ServerError, match="broken"):
        generate(b"me", seen=seen)

    assert len(seen) == 2


def test_a_stream_that_ends_early_is_no_complete_set(generate, triton):
    triton.script("generate_faces", Stream((STARTED, FACE), is_complete=False))
    seen = []

    with pytest.raises(ContractError, match="without its final message") as caught:
        generate(b"me", seen=seen)

    assert len(seen) == 2
    assert caught.value.request_id == triton.calls[0].request.id
    assert len(triton.calls) == 1


@pytest.mark.parametrize(("count", "script"), [(2, (STARTED, FACE)), (None, (STARTED,))])
def test_a_complete_stream_with_faces_missing_is_no_complete_set(generate, triton, count, script):
    triton.script("generate_faces", Stream(script))

    with pytest.raises(ContractError, match="faces came"):
        generate(b"me", count=count)


def break_id(message):
    message.infer_response.id = "another"


def break_raw(message):
    del message.infer_response.raw_output_contents[-1]


NAN = float("nan")
MALFORMED = {
    "another id": Stream((STARTED,), edit=break_id),
    "a raw tensor short": Stream((STARTED,), edit=break_raw),
    "no event": Stream(({"steps": STARTED["steps"]},)),
    "no image": Stream(({name: FACE[name] for name in FACE if name != "image"},)),
    "another dtype": Stream((generation_event("face", seed=unbatched("INT64", "q", 1)),)),
    "another shape": Stream((generation_event("progress", steps=FACE["codes"]),)),
    "similarity NaN": Stream((generation_event("face", similarity=unbatched("FP32", "f", NAN)),)),
}


@pytest.mark.parametrize("stream", MALFORMED.values(), ids=MALFORMED)
def test_malformed_messages_are_refused(generate, triton, stream):
    triton.script("generate_faces", stream)

    with pytest.raises(ContractError) as caught:
        generate(b"me")

    assert caught.value.model_name == "generate_faces"
    assert caught.value.request_id == triton.calls[0].request.id


@pytest.mark.parametrize(
    "refusal",
    [Refusal(S.UNAVAILABLE, "loading"), Stream((OVERLOADED,))],
    ids=["status", "words"],
)
def test_an_unavailable_server_is_asked_again_before_the_first_event(generate, triton, refusal):
    triton.script("generate_faces", refusal, refusal)

    assert len(generate(b"me")) == 2

    assert len(triton.calls) == 3
    assert len({call.request.id for call in triton.calls}) == 1
    timeouts = [call.request.parameters["timeout"].int64_param for call in triton.calls]
    assert timeouts == sorted(timeouts, reverse=True)
    assert timeouts[2] < timeouts[0] <= 600_000_000


def test_an_overloaded_server_is_asked_again_twice_and_no_more(generate, triton):
    triton.script("generate_faces", *[Stream((OVERLOADED,))] * 9)

    with pytest.raises(ServerUnavailableError, match="256 faces") as caught:
        generate(b"me")

    assert caught.value.code == "OVERLOADED"
    assert len(triton.calls) == 3


@pytest.mark.parametrize(
    "end", ["mien.STOPPING: going", Refusal(S.UNAVAILABLE, "gone")], ids=["words", "status"]
)
def test_nothing_is_asked_again_after_the_first_event(generate, triton, end):
    triton.script("generate_faces", Stream((STARTED, end)))

    with pytest.raises(ServerUnavailableError):
        generate(b"me")

    assert len(triton.calls) == 1


def test_nothing_but_unavailable_is_asked_again(generate, triton):
    triton.script("generate_faces", Stream(("mien.MODEL_FAILED: no",)))

    with pytest.raises(ServerError, match="no"):
        generate(b"me")

    assert len(triton.calls) == 1


def test_nobody_listening_is_unavailable(generate, triton):
    triton.__exit__()

    with pytest.raises(ServerUnavailableError, match="check the address"):
        generate(b"me")


def test_passed_deadline_raises_and_the_server_sees_the_caller_go(generate, triton):
    triton.script("generate_faces", HANGS)
    seen = []

    with pytest.raises(DeadlineExceededError):
        generate(b"me", deadline_s=0.3, seen=seen)

    assert len(seen) == 1
    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_deadline_counts_from_the_call(client, triton):
    events = client.generate(b"me", deadline_s=0.01)
    time.sleep(0.02)

    with pytest.raises(DeadlineExceededError, match=r"0\.01 s passed"):
        next(events)

    assert triton.calls == []


def test_default_deadline_is_generous_and_that_of_the_client_replaces_it():
    default, given = FakeTransport(), FakeTransport()

    list(Client(transport=default).generate(b"me"))
    list(Client(transport=given, deadline_s=7).generate(b"me"))

    assert default.timeouts_s == [pytest.approx(600, abs=1)]
    assert given.timeouts_s == [pytest.approx(7, abs=1)]


def test_oversized_request_is_refused_before_it_is_sent(generate, triton):
    with pytest.raises(InvalidRequestError, match="bytes long; allowed are 1000"):
        generate(bytes(2000), options={"limits": MessageLimits(send_bytes=1000)})

    assert triton.calls == []


def test_a_photograph_that_cannot_be_read_is_refused_by_the_iterator(generate, triton):
    with pytest.raises(InvalidImageError, match=r"identity 'absent\.jpg' cannot be read"):
        generate("absent.jpg")

    assert triton.calls == []


@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_options_that_cannot_be_are_refused_by_the_call_itself(cls):
    with pytest.raises(InvalidOptionError, match="count is 0"):
        cls(transport=FakeTransport()).generate(b"me", count=0)
