# SPDX-License-Identifier: Apache-2.0
"""Events of `generate` in both clients, and what is sent for them."""

import asyncio

import numpy as np
from numpy.testing import assert_array_equal

from mien import AsyncClient, FacePreview, GeneratedFace, GenerationProgress, GenerationStarted
from tests.client.generation_scripts import FACE, PREVIEW, PROGRESS, STARTED
from tests.fakes.fake_triton import PNG, Hang, Stream, generation_event


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


def test_headers_and_key_go_with_it(generate, triton):
    generate(b"me", options={"api_key": "secret"})

    assert triton.calls[0].metadata["authorization"] == "Bearer secret"


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
