# SPDX-License-Identifier: Apache-2.0
"""Streams of `generate` that somebody leaves before their end."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from mien import (
    AsyncClient,
    Client,
    ClientClosedError,
    GenerationStarted,
    NoFaceError,
    RequestCancelledError,
    Retry,
    ServerError,
)
from tests.client.generation_scripts import (
    FACE,
    HANGS,
    OVERLOADED,
    PATIENCE_S,
    PROGRESS,
    STARTED,
)
from tests.fakes.fake_triton import Hang, Stream


def test_a_stream_that_has_come_to_its_end_is_not_cancelled(generate, triton):
    """Triton can lose a request that is cancelled while it ends."""
    triton.script("generate_faces", Stream((STARTED, FACE), lingers_s=0.3))

    generate(b"me")

    triton.__exit__()
    assert not triton.calls[0].cancelled.is_set()


def test_a_stream_that_ends_with_a_refusal_is_not_cancelled(generate, triton):
    triton.script("generate_faces", Stream(("mien.NO_FACE: none", 0.3), is_complete=False))

    with pytest.raises(NoFaceError):
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
