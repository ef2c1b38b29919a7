# SPDX-License-Identifier: Apache-2.0
"""Deadlines, retries, cancellation, the untrained flag: how calls behave, in both clients."""

import asyncio
import gc
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mien import (
    AsyncClient,
    Client,
    ClientClosedError,
    DeadlineExceededError,
    FakeTransport,
    InvalidOptionError,
    InvalidRequestError,
    MessageLimits,
    NoFaceError,
    RequestCancelledError,
    Retry,
    ServerUnavailableError,
)
from tests.fakes.fake_triton import Hang, Refusal

S = grpc.StatusCode
UNAVAILABLE = Refusal(S.UNAVAILABLE, "loading")
PATIENCE_S = 10
NUM_INTERRUPTS = 40
NUM_IMAGES = {"verify": 2, "embed": 1, "fit": 1, "status": 0}


def test_passed_deadline_raises_and_the_server_sees_the_caller_go(call, triton):
    triton.script("verify_faces", Hang())

    with pytest.raises(DeadlineExceededError) as caught:
        call("verify", b"a", b"b", deadline_s=0.2)

    assert caught.value.status == "DEADLINE_EXCEEDED"
    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    assert len(triton.calls) == 1


def test_deadline_of_the_client_replaces_the_default(call, triton):
    call("verify", b"a", b"b", options={"deadline_s": 3})

    assert triton.calls[0].time_remaining_s < 4  # gRPC rounds deadlines up on the wire


@pytest.mark.parametrize(
    ("method", "default_s"), [("verify", 30), ("embed", 30), ("fit", 30), ("status", 5)]
)
def test_each_method_has_a_default_deadline(method, default_s):
    transport = FakeTransport()

    getattr(Client(transport=transport), method)(*[b"image"] * NUM_IMAGES[method])

    assert max(transport.timeouts_s) <= default_s
    assert transport.timeouts_s[0] == pytest.approx(default_s, abs=1)


@pytest.mark.parametrize("deadline_s", [0, -1, float("inf"), float("nan")])
def test_deadline_that_is_no_time_is_refused(call, triton, deadline_s):
    with pytest.raises(InvalidOptionError, match="deadline_s is"):
        call("status", deadline_s=deadline_s)

    assert triton.calls == []


def test_unavailable_is_retried_until_it_works(call, triton):
    triton.script("verify_faces", UNAVAILABLE, UNAVAILABLE)

    answer = call("verify", b"a", b"b")

    assert len(triton.calls) == 3
    assert {c.request.id for c in triton.calls} == {answer.request_id}
    timeouts = [c.request.parameters["timeout"].int64_param for c in triton.calls]
    assert timeouts == sorted(timeouts, reverse=True)
    assert timeouts[2] < timeouts[0]


def test_unavailable_is_retried_twice_and_no_more(call, triton):
    triton.script("verify_faces", *[UNAVAILABLE] * 9)

    with pytest.raises(ServerUnavailableError, match="loading"):
        call("verify", b"a", b"b")

    assert len(triton.calls) == 3


def test_retries_can_be_switched_off(call, triton):
    triton.script("verify_faces", UNAVAILABLE)

    with pytest.raises(ServerUnavailableError):
        call("verify", b"a", b"b", options={"retry": Retry(max_retries=0)})

    assert len(triton.calls) == 1


def test_retry_that_would_outlast_the_deadline_is_not_waited_for(call, triton):
    triton.script("verify_faces", *[UNAVAILABLE] * 3)
    patient = Retry(initial_backoff_s=1e6, max_backoff_s=1e6)

    with pytest.raises(ServerUnavailableError):
        call("verify", b"a", b"b", deadline_s=5, options={"retry": patient})

    assert len(triton.calls) == 1


@pytest.mark.parametrize(
    "status", sorted(set(S) - {S.OK, S.UNAVAILABLE}, key=lambda s: s.name), ids=lambda s: s.name
)
def test_nothing_but_unavailable_is_retried(call, triton, status):
    triton.script("verify_faces", Refusal(status, "no"))

    with pytest.raises(Exception, match="no"):
        call("verify", b"a", b"b")

    assert len(triton.calls) == 1


def test_nobody_listening_is_unavailable(call, triton):
    triton.__exit__()

    with pytest.raises(ServerUnavailableError, match="check the address"):
        call("status")


def test_oversized_request_is_refused_before_it_is_sent(call, triton):
    with pytest.raises(InvalidRequestError, match="bytes long; allowed are 1000"):
        call("embed", bytes(2000), options={"limits": MessageLimits(send_bytes=1000)})

    assert triton.calls_of("ModelInfer") == []


def test_images_of_the_largest_served_size_pass(call, triton):
    image = bytes(33_554_432)

    call("verify", image, image)

    assert len(triton.calls) == 1


def test_headers_and_key_go_with_every_call(call, triton):
    call("embed", b"a", options={"api_key": "secret", "headers": {"X-Tenant": "one"}})

    assert len(triton.calls) == 2
    for recorded in triton.calls:
        assert recorded.metadata["authorization"] == "Bearer secret"
        assert recorded.metadata["x-tenant"] == "one"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"bad name": "x"}},
        {"headers": {"x": "line\nbreak"}},
        {"api_key": "kĕy"},
        {"retry": None, "address": "http://localhost:8001"},
        {"address": ""},
    ],
    ids=["name", "value", "key", "scheme", "no address"],
)
@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_options_that_cannot_work_are_refused_by_the_constructor(cls, options):
    with pytest.raises(InvalidOptionError):
        cls(**options)


def test_refused_key_is_not_repeated_in_the_message():
    with pytest.raises(InvalidOptionError) as caught:
        Client(api_key="sĕcret")

    assert "cret" not in str(caught.value)


def is_inside(function_name, frame):
    names = (outer.f_code.co_name for outer, _ in traceback.walk_stack(frame))
    return function_name in names


def test_interrupt_cancels_the_call_on_the_server(client, triton):
    triton.script("verify_faces", Hang())
    main_thread = threading.main_thread().ident

    def interrupt():
        assert triton.received.wait(PATIENCE_S)
        # The request may arrive before the caller has come to wait for the answer.
        while not is_inside("result", sys._current_frames()[main_thread]):
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        client.verify(b"a", b"b")
    interrupter.join()

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_interrupt_at_any_moment_leaves_a_client_that_closes(triton):
    """gRPC's own start of a call does not survive an exception: close() then waits for ever."""
    main_thread = threading.main_thread().ident
    triton.script("verify_faces", *[Hang()] * NUM_INTERRUPTS)

    def interrupted_call(delay_s):
        interrupter = threading.Timer(delay_s, signal.pthread_kill, [main_thread, signal.SIGINT])
        with Client(triton.address) as client:
            interrupter.start()
            client.verify(b"a", b"b", deadline_s=PATIENCE_S)

    # Python drops an interrupt that falls into a destructor, so none may run here.
    gc.collect()
    gc.disable()
    try:
        for i in range(NUM_INTERRUPTS):
            with pytest.raises(KeyboardInterrupt):
                interrupted_call(delay_s=0.002 * i / NUM_INTERRUPTS)  # walks over the call's start
    finally:
        gc.enable()


def test_a_call_of_another_thread_answers_and_fails_like_one_of_the_main_thread(triton):
    """Threads that no signal handler can interrupt take gRPC's faster way."""
    triton.script("verify_faces", Refusal(S.INTERNAL, "mien.NO_FACE: none"))

    with Client(triton.address) as client, ThreadPoolExecutor(1) as pool:
        with pytest.raises(NoFaceError, match="none"):
            pool.submit(client.verify, b"a", b"b").result(PATIENCE_S)
        assert pool.submit(client.verify, b"a", b"b").result(PATIENCE_S).is_match is True


def test_a_deadline_in_another_thread_cancels_the_call_on_the_server(triton):
    triton.script("verify_faces", Hang())

    with Client(triton.address) as client, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.verify, b"a", b"b", deadline_s=0.2)
        assert isinstance(pending.exception(PATIENCE_S), DeadlineExceededError)

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_closing_the_client_ends_a_call_of_another_thread(triton):
    triton.script("verify_faces", Hang())
    client = Client(triton.address)

    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.verify, b"a", b"b")
        assert triton.received.wait(PATIENCE_S)
        client.close()
        with pytest.raises(RequestCancelledError):
            pending.result(PATIENCE_S)

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_closing_the_async_client_ends_a_call_of_another_task(triton):
    triton.script("verify_faces", Hang())

    async def scenario():
        client = AsyncClient(triton.address)
        task = asyncio.create_task(client.verify(b"a", b"b"))
        assert await asyncio.to_thread(triton.received.wait, PATIENCE_S)
        await client.close()
        with pytest.raises(RequestCancelledError):
            await task

    asyncio.run(scenario())

    assert triton.calls[0].cancelled.wait(PATIENCE_S)


def test_cancelling_the_task_cancels_the_call_on_the_server(triton):
    triton.script("verify_faces", Hang())

    async def scenario():
        async with AsyncClient(triton.address) as client:
            task = asyncio.create_task(client.verify(b"a", b"b"))
            assert await asyncio.to_thread(triton.received.wait, PATIENCE_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(triton.calls[0].cancelled.wait, PATIENCE_S)

    asyncio.run(scenario())


def test_closed_client_refuses_calls(triton):
    client = Client(triton.address)
    client.close()
    client.close()

    with pytest.raises(ClientClosedError, match="new client"):
        client.status()


def test_closed_async_client_refuses_calls(triton):
    async def scenario():
        client = AsyncClient(triton.address)
        await client.status()
        await client.close()
        await client.close()
        with pytest.raises(ClientClosedError, match="new client"):
            await client.status()

    asyncio.run(scenario())


def test_one_client_serves_many_threads(client, triton):
    images = [b"%d" % i for i in range(16)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda image: client.verify(image, image), images))

    sent = {c.request.id: c.request.raw_input_contents[0][4:] for c in triton.calls}
    assert [sent[answer.request_id] for answer in answers] == images


def test_one_async_client_serves_many_tasks(triton):
    images = [b"%d" % i for i in range(16)]

    async def scenario():
        async with AsyncClient(triton.address) as client:
            return await asyncio.gather(*(client.verify(image, image) for image in images))

    answers = asyncio.run(scenario())
    sent = {c.request.id: c.request.raw_input_contents[0][4:] for c in triton.calls}
    assert [sent[answer.request_id] for answer in answers] == images
