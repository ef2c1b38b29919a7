# SPDX-License-Identifier: Apache-2.0
"""What `synthesize` takes, and which options and folders it refuses."""

import inspect
import threading
import time

import pytest

from mien import DataSetError, InvalidOptionError, synthesize, synthesize_async
from tests.client.training_sets import PATIENCE_S, contents, make, rows


def test_both_functions_have_one_signature():
    assert inspect.signature(synthesize) == inspect.signature(synthesize_async)
    assert inspect.iscoroutinefunction(synthesize_async)
    assert not inspect.iscoroutinefunction(synthesize)


@pytest.mark.parametrize(
    "wrong",
    [
        {"identities": 0}, {"images": 1.5}, {"steps": 1001}, {"eta": 0.5}, {"format": "zip"},
        {"max_similarity": float("nan")}, {"in_flight": 0}, {"patience_s": -1}, {"seed": -1},
        {"solver": "euler"}, {"guidance_weight": 21}, {"deadline_s": 0},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_is_not_allowed_is_refused_before_anything_is_done(tmp_path, server, wrong):
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        make(tmp_path / "set", server, **wrong)

    assert not (tmp_path / "set").exists()
    assert server.calls == []


@pytest.mark.parametrize("addresses", [[], "host:8001", ["a:1", "a:1"], ["http://a"]], ids=str)
def test_addresses_that_are_none_are_refused(tmp_path, addresses):
    with pytest.raises(InvalidOptionError, match="address"):
        synthesize(tmp_path / "set", identities=1, images=1, addresses=addresses)


def test_too_few_people_say_what_can_be_done(tmp_path, server):
    server.most_found = 40

    with pytest.raises(InvalidOptionError, match="32 of 50 identities were found") as caught:
        make(tmp_path, server, identities=50)

    assert "max_similarity is 0.3, and only 1" in str(caught.value)
    assert "fewer identities or a larger max_similarity" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"steps": 8}, "steps 16, and 8 is asked for"),
        ({"images": 5}, "images 4, and 5 is asked for"),
        ({"format": "webdataset"}, "format 'folders', and 'webdataset' is asked for"),
        ({"seed": 3}, "seed 0, and 3 is asked for"),
    ],
    ids=str,
)
def test_other_options_are_refused_and_named(tmp_path, server, option, words):
    make(tmp_path, server)
    num_calls = len(server.calls)

    with pytest.raises(DataSetError, match=words):
        make(tmp_path, server, **option)

    assert len(server.calls) == num_calls


def test_a_folder_of_somebody_else_is_refused(tmp_path, server):
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(DataSetError, match=r"'thesis\.txt' and no manifest"):
        make(tmp_path, server)

    assert contents(tmp_path) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize("content", ["{", "[]", '{"plan": {}}', '"text"'])
def test_a_manifest_of_something_else_is_refused(tmp_path, server, content):
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(DataSetError, match="not one of mien"):
        make(tmp_path, server)


def test_two_runs_do_not_write_to_one_folder(tmp_path, server):
    server.delay_s = 0.2
    running = threading.Thread(target=make, args=(tmp_path, server))
    running.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.portions and time.monotonic() < deadline:
        time.sleep(0.01)

    with pytest.raises(DataSetError, match="another run is writing there"):
        make(tmp_path, server)

    running.join()
    assert len(rows(tmp_path)) == 12


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, server):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DataSetError, match="cannot be read or written"):
        make(tmp_path / "file" / "set", server)

    assert server.calls == []
