# SPDX-License-Identifier: Apache-2.0
"""Training sets that go on where they ended, and how far they say they are."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from mien import DataSetError, InvalidOptionError, ServerError
from tests.client.training_sets import BROKEN, FORMATS, contents, make
from tests.fakes.fake_triton import Stream


def test_a_complete_set_is_left_alone(tmp_path, server):
    make(tmp_path, server)
    before, num_calls = contents(tmp_path), len(server.calls)

    result = make(tmp_path, server)

    assert (result.new_images, result.num_images) == (0, 12)
    assert contents(tmp_path) == before
    assert len(server.calls) == num_calls


class Killed(BaseException):
    """Nothing catches it, as nothing runs after a kill."""


class Killer:
    """Ends the process at the n-th operation on the disk, before it or after it."""

    OPERATIONS = (
        (os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (os, "open"),
    )  # fmt: skip

    def __init__(self, monkeypatch, at=None):
        self.count, self.at = 0, at
        for owner, name in self.OPERATIONS:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, operation):
        def run(*args, **kwargs):
            self.strike()
            result = operation(*args, **kwargs)
            self.strike()
            return result

        return run

    def strike(self):
        self.count += 1
        if self.at is not None and self.count >= self.at:
            raise Killed


@pytest.mark.parametrize("set_format", FORMATS)
def test_a_set_that_was_killed_anywhere_becomes_the_same_set(
    tmp_path, server, monkeypatch, set_format
):
    options = {"format": set_format, "identities": 2, "images": 2, "shard_size": 3, "in_flight": 1}
    with monkeypatch.context() as patch:
        killer = Killer(patch)
        make(tmp_path / "whole", server, **options)
    whole = contents(tmp_path / "whole")
    assert killer.count > 40

    for at in range(1, killer.count + 1):
        folder = tmp_path / f"killed-{at}"
        with monkeypatch.context() as patch:
            Killer(patch, at)
            with pytest.raises(Killed):
                make(folder, server, **options)
        assert not folder.exists() or all(
            whole[name] == content
            for name, content in contents(folder).items()
            if not Path(name).name.startswith(".") and name != "manifest.json"
        )
        make(folder, server, **options)
        assert contents(folder) == whole


def test_a_set_that_was_killed_between_images_goes_on_with_what_is_missing(tmp_path, server):
    make(tmp_path / "whole", server)
    server.script("generate_faces", *[Stream(BROKEN.script)] * 20)
    with pytest.raises(ServerError):
        make(tmp_path / "set", server, in_flight=1)  # none is on its way when it ends
    server.calls.clear()
    server._scripts.clear()
    (tmp_path / "set" / "shard-00001.jsonl").write_bytes(
        (tmp_path / "whole" / "shard-00001.jsonl").read_bytes()
    )

    result = make(tmp_path / "set", server)

    assert result.new_images == sum(count for *_, count in server.portions) == 7
    assert not [call for call in server.calls if call.model_name == "sample_identities"]


def test_a_search_that_was_killed_goes_on_with_who_was_found(tmp_path, server):
    make(tmp_path / "whole", server, identities=70, images=1)
    server.most_found = 40
    with pytest.raises(InvalidOptionError):
        make(tmp_path / "set", server, identities=70, images=1)
    found = tmp_path / "set" / ".identities-found.jsonl"
    assert found.stat().st_mode & 0o777 == 0o600
    with found.open("ab") as stream:
        stream.write(b'{"seeds": [1, 2')  # cut off
    server.most_found = 10**9
    server.calls.clear()

    make(tmp_path / "set", server, identities=70, images=1)

    assert len([c for c in server.calls if c.model_name == "sample_identities"]) == 2
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_a_search_goes_on_where_the_tokens_mean_nothing(tmp_path, server, other):
    make(tmp_path / "whole", server, identities=70, images=1)
    server.most_found = 40
    with pytest.raises(InvalidOptionError):
        make(tmp_path / "set", server, identities=70, images=1)

    make(tmp_path / "set", other, identities=70, images=1)

    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


@pytest.mark.parametrize("set_format", FORMATS)
def test_a_full_disk_is_named_and_the_set_goes_on_once_there_is_room(
    tmp_path, server, monkeypatch, set_format
):
    make(tmp_path / "whole", server, format=set_format)
    count = iter(range(10**6))
    fsync = os.fsync

    def full(descriptor):
        if next(count) > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataSetError, match=r"No space left on device.*same command again"):
            make(tmp_path / "set", server, format=set_format)
    assert not list((tmp_path / "set").glob(".*.partial"))

    make(tmp_path / "set", server, format=set_format)
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_progress_is_told(tmp_path, server):
    seen = []

    make(tmp_path, server, identities=40, images=1, on_progress=seen.append)

    found = [progress.identities_found for progress in seen]
    made = [progress.images_made for progress in seen]
    assert found == sorted(found)
    assert {0, 32, 40} <= set(found)
    assert made == sorted(made)
    assert (made[0], made[-1]) == (0, 40)
    assert seen[-1].images_per_s > 0
    assert seen[-1].time_left_s == 0


def test_images_of_earlier_runs_count(tmp_path, server):
    server.script("generate_faces", *[BROKEN] * 100)
    with contextlib.suppress(ServerError):
        make(tmp_path, server)
    server._scripts.clear()
    make(tmp_path, server)
    seen = []

    make(tmp_path, server, on_progress=seen.append)

    assert [progress.images_made for progress in seen] == [12]
