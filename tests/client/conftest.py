# SPDX-License-Identifier: Apache-2.0
"""A fake Triton, and one way to call it through either client."""

import asyncio

import pytest

from mien import AsyncClient, Client, Retry
from tests.fakes.fake_triton import FakeTriton

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
