# SPDX-License-Identifier: Apache-2.0
"""Fake servers, and one way to call them through either client."""

import asyncio

import pytest

from mien import AsyncClient, Client, Retry
from mien import _synthesis_endpoints as endpoints
from tests.fakes.fake_generator import FakeGenerator
from tests.fakes.fake_triton import FakeTriton

PATIENCE_S = 10
FAST_RETRY = Retry(initial_backoff_s=0.001, max_backoff_s=0.002)


@pytest.fixture
def triton():
    with FakeTriton() as server:
        yield server


@pytest.fixture
def client(triton):
    with Client(triton.address, retry=FAST_RETRY) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def call(request, triton):
    """``call("embed", b"a", deadline_s=1)`` through a new client, made with `options`."""

    def call_sync(method, *args, options=None, **kwargs):
        with Client(triton.address, **{"retry": FAST_RETRY} | (options or {})) as client:
            return getattr(client, method)(*args, **kwargs)

    def call_async(method, *args, options=None, **kwargs):
        async def run():
            settings = {"retry": FAST_RETRY} | (options or {})
            async with AsyncClient(triton.address, **settings) as client:
                return await getattr(client, method)(*args, **kwargs)

        return asyncio.run(run())

    return call_sync if request.param == "sync" else call_async


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


@pytest.fixture(params=["sync", "async"])
def generate(request, triton):
    """``generate(b"me", count=2)`` through a new client: a list of its events.

    They are in `seen` as they come, where it is given; `leave_after` so many the loop is left.
    """

    def loop_sync(*args, seen, leave_after, options, **kwargs):
        with Client(triton.address, **{"retry": FAST_RETRY} | (options or {})) as client:
            for event in client.generate(*args, **kwargs):
                seen.append(event)
                if len(seen) == leave_after:
                    break
            if leave_after:
                wait_until_cancelled(triton)

    async def loop_async(*args, seen, leave_after, options, **kwargs):
        async with AsyncClient(triton.address, **{"retry": FAST_RETRY} | (options or {})) as client:
            async for event in client.generate(*args, **kwargs):
                seen.append(event)
                if len(seen) == leave_after:
                    break
            if leave_after:
                await asyncio.to_thread(wait_until_cancelled, triton)

    def generate(*args, seen=None, leave_after=None, options=None, **kwargs):
        seen = [] if seen is None else seen
        kwargs |= {"seen": seen, "leave_after": leave_after, "options": options}
        if request.param == "sync":
            loop_sync(*args, **kwargs)
        else:
            asyncio.run(loop_async(*args, **kwargs))
        return seen

    return generate


def wait_until_cancelled(triton):
    assert triton.calls[-1].cancelled.wait(PATIENCE_S)


@pytest.fixture
def short_waits(monkeypatch):
    backoff = Retry(initial_backoff_s=0.001, max_backoff_s=0.01)
    monkeypatch.setattr(endpoints, "BACKOFF", backoff)


@pytest.fixture
def server(short_waits):
    """Makes faces for training sets."""
    with FakeGenerator() as server:
        yield server


@pytest.fixture
def other(short_waits):
    """Another server with the same generator, whose tokens have another key."""
    with FakeGenerator(key="other") as server:
        yield server
