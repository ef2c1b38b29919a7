# SPDX-License-Identifier: Apache-2.0
"""The hairstyles of a server in both clients."""

import json

import pytest

from mien import (
    ContractError,
    Hairstyle,
    InvalidOptionError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from tests.fakes.fake_avatars import BOB, FakeAvatars, sent_inputs
from tests.fakes.fake_triton import Refusal, Reply, grpc, unbatched_text

UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE, "mien.OVERLOADED: busy")
FACTS = {"name": "mop", "title": "Mop", "licence": "CC0-1.0", "author": "me"}


@pytest.fixture
def triton():
    with FakeAvatars() as server:
        yield server


def sent(triton):
    return sent_inputs(triton.calls[-1].request)


def test_hairstyles_are_what_the_server_said(call, triton):
    (bob,) = call("hairstyles")

    assert bob == Hairstyle("bob", "Bob", 900, 21.5, "CC0-1.0", "grown", is_own=False)
    assert bob.to_dict() == BOB
    assert sent(triton) == {"operation": "list"}


def test_no_hairstyles_are_an_answer(call, triton):
    triton.library.clear()

    assert call("hairstyles") == ()


def test_a_preview_is_its_png(call, triton):
    assert call("hairstyle_preview", "bob") == b"\x89PNG of bob"
    assert sent(triton) == {"operation": "preview", "name": "bob"}


def test_a_hairstyle_is_added_from_a_file(call, triton, tmp_path):
    path = tmp_path / "mop.convdata"
    path.write_bytes(b"strands")

    added = call("add_hairstyle", path, **FACTS)

    assert sent(triton) == {"operation": "add", "file": "strands", **FACTS}
    assert (added.name, added.is_own) == ("mop", True)
    assert set(triton.library) == {"bob", "mop"}


def test_a_hairstyle_is_removed(call, triton):
    call("remove_hairstyle", "bob")

    assert sent(triton) == {"operation": "remove", "name": "bob"}
    assert triton.library == {}


@pytest.mark.parametrize("method", ["hairstyle_preview", "remove_hairstyle"])
def test_an_unknown_hairstyle_is_an_option_that_is_not_allowed(call, method):
    with pytest.raises(InvalidOptionError, match="'mop' is unknown") as caught:
        call(method, "mop")

    assert (caught.value.code, caught.value.model_name) == ("INVALID_OPTION", "hairstyles")


def test_an_unavailable_server_is_asked_again_for_what_changes_nothing(call, triton):
    triton.script("hairstyles", UNAVAILABLE)

    assert len(call("hairstyles")) == 1
    assert len(triton.calls) == 2


def test_what_changes_the_library_is_sent_once(call, triton):
    triton.script("hairstyles", UNAVAILABLE, UNAVAILABLE)

    with pytest.raises(ServerUnavailableError):
        call("add_hairstyle", b"strands", **FACTS)
    with pytest.raises(ServerUnavailableError):
        call("remove_hairstyle", "bob")

    assert len(triton.calls) == 2
    assert set(triton.library) == {"bob"}


def test_a_server_that_does_not_allow_it_is_told_as_such(call, triton):
    triton.script("hairstyles", Refusal(grpc.StatusCode.PERMISSION_DENIED, "no"))

    with pytest.raises(PermissionDeniedError):
        call("add_hairstyle", b"strands", **FACTS)


@pytest.mark.parametrize("wrong", ["name", "title", "licence", "author"])
def test_a_text_that_is_empty_is_refused_at_the_door(call, triton, wrong):
    with pytest.raises(InvalidOptionError, match=f"{wrong} of a hairstyle is ''"):
        call("add_hairstyle", b"strands", **FACTS | {wrong: ""})

    assert triton.calls == []


def test_a_file_without_strands_is_refused_at_the_door(call, triton, tmp_path):
    (tmp_path / "empty.data").write_bytes(b"")

    for strands, words in (
        (b"", "is empty"),
        (tmp_path / "empty.data", "empty.data' is empty"),
        (tmp_path / "absent.data", "absent.data' cannot be read"),
    ):
        with pytest.raises(InvalidOptionError, match=words):
            call("add_hairstyle", strands, **FACTS)

    assert triton.calls == []


@pytest.mark.parametrize(
    "entry",
    [b"{", b"[]", b"{}", json.dumps({**BOB, "strands": "many"}).encode()],
    ids=["no JSON", "a list", "nothing", "no number"],
)
def test_an_entry_that_cannot_be_read_breaks_the_contract(call, triton, entry):
    triton.script("hairstyles", Reply({"entries": unbatched_text(entry)}))

    with pytest.raises(ContractError, match="an entry of hairstyles"):
        call("hairstyles")
