# SPDX-License-Identifier: Apache-2.0
"""Training sets by servers that are overloaded, die, come back, or have another generator."""

import time

import pytest

from mien import (
    ContractError,
    DataSetError,
    InvalidOptionError,
    ModelNotFoundError,
    ServerError,
    ServerUnavailableError,
    synthesize,
)
from tests.client.training_sets import BROKEN, PATIENCE_S, UNAVAILABLE, contents, make, rows
from tests.fakes.fake_generator import FakeGenerator
from tests.fakes.fake_triton import Hang, Refusal, Stream, generation_event, grpc

S = grpc.StatusCode
OVERLOADED = Stream(("mien.OVERLOADED: 12 faces are being made",))
DIES = Stream((generation_event("started"), Refusal(S.UNAVAILABLE, "gone")))


def test_another_generator_is_refused(tmp_path, server):
    server.most_found = 0
    with pytest.raises(InvalidOptionError):
        make(tmp_path, server)

    with FakeGenerator("def") as changed:
        with pytest.raises(DataSetError, match="the generator def; those of the set are by abc"):
            make(tmp_path, changed)
        assert changed.portions == []


def test_images_of_another_generator_are_refused(tmp_path, server):
    server.stated_digest = "def"

    with pytest.raises(DataSetError, match="the generator def"):
        make(tmp_path, server)

    assert rows(tmp_path) == []


def test_two_servers_must_have_one_generator(tmp_path, server):
    with FakeGenerator("def") as changed, pytest.raises(DataSetError, match="generator def"):
        make(tmp_path, server, changed)


def test_an_overloaded_server_is_asked_again(tmp_path, server):
    server.script("generate_faces", *[OVERLOADED] * 20)
    server.script("sample_identities", Refusal(S.UNAVAILABLE, "mien.OVERLOADED: 12 faces"))

    assert make(tmp_path, server).new_images == 12
    assert len(rows(tmp_path)) == 12


def test_two_servers_share_the_work(tmp_path, server, other):
    server.delay_s = other.delay_s = 0.01

    make(tmp_path, server, other, identities=20, in_flight=2)

    assert min(len(server.portions), len(other.portions)) >= 5
    assert len(rows(tmp_path)) == 80


@pytest.mark.parametrize("failure", [UNAVAILABLE, DIES], ids=["refuses", "dies"])
def test_what_one_server_fails_at_another_does(tmp_path, server, other, failure):
    make(tmp_path / "whole", server)
    server.script("generate_faces", *[failure] * 3)

    make(tmp_path / "set", server, other)

    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_a_server_that_is_not_there_delays_nobody(tmp_path, server):
    with FakeGenerator() as gone:
        address = gone.address
    began_s = time.monotonic()

    synthesize(tmp_path, identities=3, images=4, addresses=[address, server.address], shard_size=5)

    assert len(rows(tmp_path)) == 12
    assert time.monotonic() - began_s < PATIENCE_S


def test_a_server_that_changes_while_it_is_away_is_refused(tmp_path, server):
    def change(message):
        server.parameters["generate_faces"]["generator"] = "def"

    dies = Stream(DIES.script, edit=change)
    server.script("generate_faces", dies)

    with pytest.raises(DataSetError, match="generator def"):
        make(tmp_path, server, in_flight=1)


def test_the_command_ends_where_nobody_is_there_for_too_long(tmp_path, server):
    server.script("ModelConfig", *[UNAVAILABLE] * 1000)

    with pytest.raises(ServerUnavailableError, match=r"for 0.2 s \(127.*gone.*same command again"):
        make(tmp_path, server, patience_s=0.2)

    server._scripts.clear()
    assert make(tmp_path, server).new_images == 12


def test_a_server_that_works_is_not_given_up_while_it_refuses_more(tmp_path, server):
    server.delay_s = 0.15
    first = server._faces({"count": 4, "seed": 0, "identity_seed": 0})
    assert len(first.script) == 9
    server.script("generate_faces", *[OVERLOADED] * 3)

    make(tmp_path, server, patience_s=0.5, identities=1, in_flight=4)

    assert len(rows(tmp_path)) == 4


def test_a_face_that_cannot_be_made_ends_the_command(tmp_path, server):
    server.script("generate_faces", *[BROKEN] * 100)

    with pytest.raises(ServerError, match=r"127\.0\.0\.1:\d+: face 0 became NaN"):
        make(tmp_path, server, in_flight=1)

    assert len(server.portions) == 5


def test_a_server_without_the_pipeline_is_refused(tmp_path, server):
    del server.parameters["generate_faces"]

    with pytest.raises(ModelNotFoundError):
        make(tmp_path, server)


def test_a_server_that_does_not_say_what_it_is_is_refused(tmp_path, server):
    del server.parameters["generate_faces"]["generator"]

    with pytest.raises(ContractError, match="'generator'"):
        make(tmp_path, server)


def test_faces_that_were_not_asked_for_are_refused(tmp_path, server):
    wrong = server._faces({"count": 4, "seed": 5, "identity_seed": 0})
    server.script("generate_faces", wrong)

    with pytest.raises(ContractError, match=r"seeds \[5, 6, 7, 8\]"):
        make(tmp_path, server, in_flight=1)


def test_no_more_requests_are_in_flight_than_allowed(tmp_path, server):
    server.script("generate_faces", *[Hang()] * 3)

    make(tmp_path, server, identities=10, shard_size=2, in_flight=3, deadline_s=2)

    # What was given up is asked for first, so a fourth request for anything else came too early.
    assert len(set(server.portions[:3])) == 3
    assert server.portions[3] in server.portions[:3]
