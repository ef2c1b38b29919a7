# SPDX-License-Identifier: Apache-2.0
import asyncio
import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mien import (
    AsyncClient,
    Client,
    ClientClosedError,
    FacePreview,
    FakeTransport,
    GeneratedFace,
    GenerationStarted,
    IdentityToken,
    InvalidOptionError,
    NoFaceError,
    ServerError,
)


@pytest.mark.parametrize(("similarity", "is_match"), [(0.8, True), (0.5, True), (0.2, False)])
def test_verify_answers_the_given_similarity(similarity, is_match):
    client = Client(transport=FakeTransport(similarity=similarity, threshold=0.5))

    answer = client.verify(b"a", b"b")

    assert answer.similarity == pytest.approx(similarity)
    assert answer.is_match is is_match
    assert answer.untrained is False


def test_a_calibrated_fake_takes_any_rate_and_another_refuses_it():
    calibrated = Client(transport=FakeTransport(fmr=1e-3, log10_likelihood_ratio=2.5))

    assert calibrated.verify(b"a", b"b").fmr == pytest.approx(1e-3)
    answer = calibrated.verify(b"a", b"b", fmr=1e-4)
    assert answer.fmr == pytest.approx(1e-4)
    assert answer.log10_likelihood_ratio == 2.5
    plain = Client(transport=FakeTransport())
    assert plain.verify(b"a", b"b").fmr is None
    with pytest.raises(InvalidOptionError, match="no calibration") as caught:
        plain.verify(b"a", b"b", fmr=1e-4)
    assert caught.value.code == "INVALID_OPTION"


def test_embed_answers_the_given_vector():
    vector = np.linspace(-1, 1, 512, dtype=np.float32)
    client = Client(transport=FakeTransport(embedding=vector, untrained=True))

    answer = client.embed(b"a")

    assert_array_equal(answer.vector, vector)
    assert answer.untrained is True


def test_default_embedding_has_unit_length():
    assert np.linalg.norm(Client(transport=FakeTransport()).embed(b"a").vector) == 1.0


def test_fit_answers_the_given_codes():
    codes = np.linspace(-1, 1, 236, dtype=np.float32)
    client = Client(transport=FakeTransport(codes=codes, untrained=True))

    plain, drawn = client.fit(b"a"), client.fit(b"a", overlay=True)

    assert_array_equal(plain.codes, codes)
    assert plain.untrained is True
    assert plain.vertices.shape == plain.vertices_px.shape == (4, 3)
    assert plain.overlay is None
    assert Image.open(io.BytesIO(drawn.overlay)).size == (1, 1)


def test_status_answers_ready():
    status = Client(transport=FakeTransport()).status()

    assert status.ready
    assert [(p.name, p.ready) for p in status.pipelines] == [
        ("apply_emotion", True),
        ("create_avatar", True),
        ("embed_faces", True),
        ("encode_styles", True),
        ("fit_faces", True),
        ("generate_faces", True),
        ("hairstyles", True),
        ("sample_identities", True),
        ("sample_styles", True),
        ("try_hairstyle", True),
        ("verify_faces", True),
    ]


def test_generate_brings_the_faces_that_are_asked_for():
    client = Client(transport=FakeTransport(similarity=0.8, untrained=True))

    started, *progress, first, second = client.generate(b"a", count=2, seed=2**64 - 1)

    assert (started.num_steps, started.untrained) == (8, True)
    assert [event.share for event in progress] == [0.25, 0.5, 0.75, 1]
    assert [(face.index, face.seed) for face in (first, second)] == [(0, 2**64 - 1), (1, 0)]
    assert first.similarity == pytest.approx(0.8)
    assert Image.open(io.BytesIO(first.image)).size == (1, 1)


def test_generate_brings_arrays_where_they_are_asked_for():
    client = Client(transport=FakeTransport())

    started, face = client.generate(b"a", image_format="raw", progress=False)

    assert str(started.identity) == "fake"
    assert face.image.shape == (128, 128, 3)


def test_generate_brings_given_events_and_then_their_error():
    face = GeneratedFace(0, 7, 0.5, np.ones(236, np.float32), b"png", untrained=False)
    preview = FacePreview(0, 1, 4, b"small")
    started = GenerationStarted(IdentityToken("sealed"), 4, untrained=False, request_id="")
    transport = FakeTransport(streams=[[started, preview, ServerError("broken")], [started, face]])
    client = Client(transport=transport)
    first = client.generate(b"a")

    assert [type(next(first)) for _ in range(2)] == [GenerationStarted, FacePreview]
    with pytest.raises(ServerError, match="broken"):
        next(first)
    again, same = client.generate(b"a")

    assert again.request_id == transport.rpcs[1].request_id
    assert (same.seed, same.image) == (7, b"png")
    assert_array_equal(same.codes, face.codes)


def test_given_errors_come_before_events():
    client = Client(transport=FakeTransport(errors=[NoFaceError("none")]))

    with pytest.raises(NoFaceError):
        next(client.generate(b"a"))
    assert len(list(client.generate(b"a", progress=False))) == 2


def test_a_stream_that_is_given_up_is_told_from_one_that_has_ended():
    transport = FakeTransport()
    client = Client(transport=transport)

    list(client.generate(b"a"))
    for _ in client.generate(b"a"):
        break

    assert transport.cancelled_rpcs == transport.rpcs[1:]


def test_generate_fits_the_async_client():
    async def scenario():
        async with AsyncClient(transport=FakeTransport()) as client:
            return [event async for event in client.generate(b"a", progress=False)]

    started, face = asyncio.run(scenario())

    assert started.num_steps == 4
    assert face.index == 0


def test_given_errors_come_first():
    client = Client(transport=FakeTransport(errors=[NoFaceError("none")]))

    with pytest.raises(NoFaceError):
        client.verify(b"a", b"b")
    assert client.verify(b"a", b"b").is_match


def test_what_was_sent_is_kept():
    transport = FakeTransport()

    Client(transport=transport, deadline_s=4).verify(b"a", b"b")

    assert [rpc.model_name for rpc in transport.rpcs] == ["verify_faces"]
    assert 0 < transport.timeouts_s[0] <= 4


def test_it_fits_the_async_client():
    async def scenario():
        async with AsyncClient(transport=FakeTransport(similarity=0.6)) as client:
            return await client.verify(b"a", b"b"), await client.embed(b"a")

    verification, embedding = asyncio.run(scenario())
    assert verification.similarity == pytest.approx(0.6)
    assert embedding.vector.shape == (512,)


def test_it_is_closed_with_its_client():
    client = Client(transport=FakeTransport())
    client.close()

    with pytest.raises(ClientClosedError):
        client.status()
