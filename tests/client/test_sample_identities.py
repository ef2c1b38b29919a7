# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from mien import (
    Client,
    ContractError,
    FakeTransport,
    IdentityToken,
    InvalidOptionError,
    SampledIdentities,
)
from tests.fakes.fake_triton import Refusal, Reply, bytes_elements, grpc, unbatched


def sent(triton):
    request = triton.calls[-1].request
    return {t.name: raw for t, raw in zip(request.inputs, request.raw_input_contents, strict=True)}


def test_people_are_what_the_server_said(call, triton):
    answer = call("sample_identities", 2, seed=7)

    assert isinstance(answer, SampledIdentities)
    assert answer.identities == (IdentityToken("ann"), IdentityToken("bob"))
    assert answer.seeds == (7, 2**64 - 1)
    assert answer.largest_similarities == (0.25, 0.125)
    assert (answer.candidates, answer.untrained) == (5, False)
    assert answer.request_id == triton.calls[-1].request.id
    assert answer.to_dict()["identity_tokens"] == ["ann", "bob"]


def test_the_request_holds_the_arguments(call, triton):
    others = [IdentityToken("eve"), IdentityToken("oscar")]

    call("sample_identities", 2, seed=2**64 - 1, max_similarity=0.5, others=others)

    assert sent(triton)["count"] == struct.pack("<i", 2)
    assert sent(triton)["seed"] == b"\xff" * 8
    assert sent(triton)["max_similarity"] == struct.pack("<f", 0.5)
    assert bytes_elements(sent(triton)["others"]) == [b"eve", b"oscar"]
    (shape,) = (t.shape for t in triton.calls[-1].request.inputs if t.name == "others")
    assert list(shape) == [2]


def test_what_is_left_out_is_left_to_the_server(call, triton):
    call("sample_identities")

    assert set(sent(triton)) == {"count"}


def test_an_overloaded_server_is_asked_again(call, triton):
    refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "mien.OVERLOADED: 12 faces")
    triton.script("sample_identities", refusal)

    assert len(call("sample_identities", 2).seeds) == 2


def test_people_without_seeds_are_no_answer(call, triton):
    triton.script("sample_identities", Reply({"seeds": unbatched("UINT64", "Q", 7)}))

    with pytest.raises(ContractError, match="equally many"):
        call("sample_identities", 2)


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"seed": -1}, {"seed": 1.5}, {"max_similarity": float("nan")}], ids=str
)
def test_a_value_that_no_server_would_take_is_refused_here(client, triton, wrong):
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        client.sample_identities(**wrong)

    assert triton.calls == []


def test_tokens_are_not_shown_by_repr(client):
    assert "ann" not in repr(client.sample_identities(2))


def test_the_fake_finds_the_first_candidates():
    answer = Client(transport=FakeTransport(untrained=True)).sample_identities(3, seed=2**64 - 1)

    assert answer.seeds == (2**64 - 1, 0, 1)
    assert (answer.candidates, answer.untrained) == (3, True)
