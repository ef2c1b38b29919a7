# SPDX-License-Identifier: Apache-2.0
"""How `generate` behaves in both clients: events, refusals, retries, deadlines, cancellation."""

import asyncio
import gc
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mien import (
    AsyncClient,
    Client,
    ClientClosedError,
    ContractError,
    DeadlineExceededError,
    FacePreview,
    FakeTransport,
    GeneratedFace,
    GenerationProgress,
    GenerationStarted,
    InvalidImageError,
    InvalidOptionError,
    InvalidRequestError,
    MessageLimits,
    NoFaceError,
    RequestCancelledError,
    Retry,
    ServerError,
    ServerUnavailableError,
)
from tests.fakes.fake_triton import (
    PNG,
    Hang,
    Refusal,
    Stream,
    generation_event,
    unbatched,
)

S = grpc.StatusCode
PATIENCE_S = 10
NUM_INTERRUPTS = 20
STARTED, PROGRESS, PREVIEW, FACE = map(generation_event, ("started", "progress", "preview", "face"))
OVERLOADED = "mien.OVERLOADED: 256 faces are being made"
HANGS = Stream((STARTED, Hang()))


def test_events_hold_what_the_server_said(generate, triton):
    triton.script("generate_faces", Stream((STARTED, PROGRESS, PREVIEW, FACE)))

    started, progress, preview, face = generate(b"me")

    assert isinstance(started, GenerationStarted)
    assert (str(started.identity), started.num_steps, started.untrained) == ("sealed", 4, False)
    assert started.request_id == triton.calls[0].request.id
    assert isinstance(progress, GenerationProgress)
    assert (progress.steps_done, progress.num_steps, progress.share) == (1, 4, 0.25)
    assert isinstance(preview, FacePreview)
    assert (preview.index, preview.steps_done, preview.num_steps) == (0, 2, 4)
    assert preview.image == PNG
    assert isinstance(face, GeneratedFace)
    assert (face.index, face.seed, face.similarity) == (0, 2**64 - 1, 0.75)
    assert_array_equal(face.codes, np.arange(236))
    assert face.image == PNG
    assert face.untrained is False


def test_raw_images_are_read_only_arrays(generate, triton):
    triton.script("generate_faces", Stream((STARTED, PREVIEW, FACE)))

    _, preview, face = generate(b"me", image_format="raw")

    for image in (preview.image, face.image):
        assert (image.shape, image.dtype) == ((128, 128, 3), np.uint8)
        assert_array_equal(image[0, 0], [0, 1, 2])
        assert not image.flags.writeable


def test_an_identity_and_an_image_are_not_shown_by_repr(generate, triton):
    triton.script("generate_faces", Stream((STARTED, PREVIEW, FACE)))

    shown = repr(generate(b"me"))

    assert "sealed" not in shown
    assert "PNG" not in shown


def test_events_come_before_the_stream_has_ended(generate, triton):
    triton.script("generate_faces", Stream((STARTED, PROGRESS, Hang())))

    events = generate(b"me", leave_after=2)

    assert [type(event) for event in events] == [GenerationStarted, GenerationProgress]


def test_events_that_come_slowly_all_come(generate, triton):
    triton.script("generate_faces", Stream((STARTED, 0.05, PROGRESS, 0.05, FACE, 0.05)))

    assert len(generate(b"me")) == 3


def test_events_of_a_newer_server_are_skipped(generate, triton):
    news = {**PROGRESS, "event": generation_event("started")["event"]}
    news["event"] = type(news["event"])("BYTES", (1,), b"\4\0\0\0news")
    triton.script("generate_faces", Stream((news, STARTED, news, FACE)))

    assert [type(event) for event in generate(b"me")] == [GenerationStarted, GeneratedFace]


def test_a_refusal_ends_the_stream_with_its_error(generate, triton):
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


def test_headers_and_key_go_with_it(generate, triton):
    generate(b"me", options={"api_key": "secret"})

    assert triton.calls[0].metadata["authorization"] == "Bearer secret"


def test_a_stream_that_has_come_to_its_end_is_not_cancelled(generate, triton):
    generate(b"me")

    triton.__exit__()
    assert not triton.calls[0].cancelled.is_set()


def test_leaving_the_loop_cancels_on_the_server(generate, triton):
    triton.script("generate_faces", HANGS)

    generate(b"me", leave_after=1)  # waits until the server has seen it

    assert triton.calls[0].cancelled.is_set()


def test_leaving_the_loop_cancels_although_the_events_are_kept(client, triton):
    triton.script("generate_faces", HANGS)
    events = client.generate(b"me")

    for _ in events:
        break

    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    assert list(events) == []


def test_closing_cancels_and_ends_the_events(client, triton):
    triton.script("generate_faces", HANGS)
    events = client.generate(b"me")
    assert isinstance(next(events), GenerationStarted)

    events.close()
    events.close()

    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    with pytest.raises(StopIteration):
        next(events)


def test_the_end_of_a_with_block_cancels(client, triton):
    triton.script("generate_faces", HANGS)

    with client.generate(b"me") as events:
        next(events)

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_letting_go_cancels(client, triton):
    triton.script("generate_faces", HANGS)
    events = client.generate(b"me")
    next(events)

    del events

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_events_that_nobody_asks_for_are_never_ordered(client, triton):
    with client.generate(b"me"):
        pass

    assert triton.calls == []


def test_closing_from_another_thread_ends_the_wait_for_an_event(client, triton):
    triton.script("generate_faces", Hang())
    events = client.generate(b"me")

    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, events)
        assert triton.received.wait(PATIENCE_S)
        events.close()
        assert isinstance(pending.exception(PATIENCE_S), RequestCancelledError)

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_closing_while_a_retry_is_waited_for_gives_up(triton):
    triton.script("generate_faces", Stream((OVERLOADED,)), Hang())
    retry = Retry(initial_backoff_s=0.5, max_backoff_s=0.5)

    with Client(triton.address, retry=retry) as client, ThreadPoolExecutor(1) as pool:
        events = client.generate(b"me")
        pending = pool.submit(next, events)
        assert triton.received.wait(PATIENCE_S)
        events.close()
        assert isinstance(pending.exception(PATIENCE_S), RequestCancelledError)


def test_another_thread_is_told_the_same_as_the_main_thread(client, triton):
    triton.script("generate_faces", Stream((STARTED, PROGRESS, FACE)), Stream((STARTED, "broken")))

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(list, client.generate(b"me")).result(PATIENCE_S)) == 3
        failing = pool.submit(list, client.generate(b"me"))
        assert isinstance(failing.exception(PATIENCE_S), ServerError)


def test_closing_the_client_ends_its_streams(triton):
    triton.script("generate_faces", HANGS)
    client = Client(triton.address)
    events = client.generate(b"me")
    next(events)

    client.close()

    with pytest.raises(RequestCancelledError):
        next(events)
    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    with pytest.raises(ClientClosedError):
        next(client.generate(b"me"))


def test_closing_the_async_client_ends_a_stream_of_another_task(triton):
    triton.script("generate_faces", HANGS)

    async def scenario():
        client = AsyncClient(triton.address)
        events = client.generate(b"me")
        await anext(events)
        task = asyncio.ensure_future(events.__anext__())
        await asyncio.sleep(0.05)
        await client.close()
        with pytest.raises(RequestCancelledError):
            await task
        with pytest.raises(ClientClosedError):
            await anext(client.generate(b"me"))

    asyncio.run(scenario())

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_cancelling_the_task_cancels_the_stream_on_the_server(triton):
    triton.script("generate_faces", HANGS)

    async def consume(events, has_started):
        async for _ in events:
            has_started.set()

    async def scenario():
        async with AsyncClient(triton.address) as client:
            has_started = asyncio.Event()
            task = asyncio.create_task(consume(client.generate(b"me"), has_started))
            await asyncio.wait_for(has_started.wait(), PATIENCE_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(triton.calls[0].cancelled.wait, PATIENCE_S)

    asyncio.run(scenario())


@pytest.mark.parametrize("way", ["aclose", "with block", "letting go", "leaving the loop"])
def test_ways_to_give_up_an_async_stream_cancel_it(triton, way):
    triton.script("generate_faces", HANGS)

    async def scenario():
        async with AsyncClient(triton.address) as client:
            events = client.generate(b"me")
            if way == "with block":
                async with events:
                    await anext(events)
            elif way == "leaving the loop":
                async for _ in events:
                    break
            else:
                await anext(events)
            if way == "aclose":
                await events.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(events)
            if way == "letting go":
                del events
            assert await asyncio.to_thread(triton.calls[0].cancelled.wait, PATIENCE_S)

    asyncio.run(scenario())


def test_one_async_client_serves_many_streams_at_once(triton):
    async def collected(events):
        return [event async for event in events]

    async def scenario():
        async with AsyncClient(triton.address) as client:
            return await asyncio.gather(*(collected(client.generate(b"me")) for _ in range(8)))

    streams = asyncio.run(scenario())

    ids = {call.request.id for call in triton.calls}
    assert {started.request_id for started, _ in streams} == ids
    assert len(ids) == 8


def is_inside(function_name, frame):
    names = (outer.f_code.co_name for outer, _ in traceback.walk_stack(frame))
    return function_name in names


def test_interrupt_cancels_the_stream_on_the_server(client, triton):
    triton.script("generate_faces", HANGS)
    main_thread = threading.main_thread().ident
    events = client.generate(b"me")
    next(events)

    def interrupt():
        while not is_inside("result", sys._current_frames()[main_thread]):
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        next(events)
    interrupter.join()

    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    assert list(events) == []


def test_interrupt_at_any_moment_leaves_a_client_that_closes(triton):
    main_thread = threading.main_thread().ident
    triton.script("generate_faces", *[Stream((STARTED, PROGRESS, Hang()))] * NUM_INTERRUPTS)

    def interrupted_stream(delay_s):
        interrupter = threading.Timer(delay_s, signal.pthread_kill, [main_thread, signal.SIGINT])
        with Client(triton.address) as client:
            interrupter.start()
            list(client.generate(b"me", deadline_s=PATIENCE_S))

    # Python drops an interrupt that falls into a destructor, so none may run here.
    gc.collect()
    gc.disable()
    try:
        for i in range(NUM_INTERRUPTS):
            with pytest.raises(KeyboardInterrupt):
                interrupted_stream(delay_s=0.004 * i / NUM_INTERRUPTS)
    finally:
        gc.enable()
