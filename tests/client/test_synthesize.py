# SPDX-License-Identifier: Apache-2.0
"""Training sets made by a fake generator: what is in them, and what may happen on the way."""

import contextlib
import errno
import io
import json
import os
import tarfile
import threading
import time
from pathlib import Path

import pytest

from mien import (
    ContractError,
    DataSetError,
    InvalidOptionError,
    ModelNotFoundError,
    Retry,
    ServerError,
    ServerUnavailableError,
    synthesize,
)
from mien import _synthesis_endpoints as endpoints
from mien._png_texts import png_texts
from tests.fakes.fake_generator import FakeGenerator
from tests.fakes.fake_triton import Hang, Refusal, Stream, generation_event, grpc

S = grpc.StatusCode
PATIENCE_S = 10
OVERLOADED = Stream(("mien.OVERLOADED: 12 faces are being made",))
UNAVAILABLE = Refusal(S.UNAVAILABLE, "gone")
BROKEN = Stream((generation_event("started"), "mien.MODEL_FAILED: face 0 became NaN"))
DIES = Stream((generation_event("started"), Refusal(S.UNAVAILABLE, "gone")))
FORMATS = ["folders", "webdataset"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    backoff = Retry(initial_backoff_s=0.001, max_backoff_s=0.01)
    monkeypatch.setattr(endpoints, "BACKOFF", backoff)


@pytest.fixture
def server():
    with FakeGenerator() as server:
        yield server


@pytest.fixture
def other():
    with FakeGenerator(key="other") as server:
        yield server


def make(folder, *servers, **options):
    options = {"identities": 3, "images": 4, "shard_size": 5} | options
    return synthesize(folder, addresses=[server.address for server in servers], **options)


def contents(folder):
    """Every file, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder):
    """Of all indices, in order."""
    lines = [p.read_text().splitlines() for p in sorted(folder.glob("shard-*.jsonl"))]
    return [json.loads(line) for shard in lines for line in shard]


def told(png):
    """What a fake face was made of."""
    return json.loads(png_texts(png)["told"])


def test_folders_hold_every_image_once_with_its_row(tmp_path, server):
    result = make(tmp_path, server)

    assert (result.num_images, result.new_images, result.generator) == (12, 12, "abc")
    assert [(row["identity"], row["image"]) for row in rows(tmp_path)] == [
        (k, j) for k in range(3) for j in range(4)
    ]
    for row in rows(tmp_path):
        k, j = row["identity"], row["image"]
        assert row["file"] == f"images/{k:06d}/{k:06d}_{j:04d}.png"
        made_of = told((tmp_path / row["file"]).read_bytes())
        assert made_of["seed"] == row["seed"]
        assert made_of["identity_seed"] == row["identity_seed"]
        assert row["similarity"] == pytest.approx(1 / (1 + row["seed"] % 7), abs=1e-6)
        assert row["codes"] == [row["seed"] % 11] * 236
    assert len(list(tmp_path.rglob("*.png"))) == 12
    assert len({row["seed"] for row in rows(tmp_path)}) == 12


def test_tars_hold_every_image_once_in_order(tmp_path, server):
    make(tmp_path, server, format="webdataset")

    names = []
    for shard in range(3):
        with tarfile.open(tmp_path / f"shard-{shard:05d}.tar") as archive:
            members = archive.getmembers()
            names += [member.name for member in members]
            assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {
                (0, 0, 0, "", 0o644)
            }
            for member in members[::2]:
                row = json.load(archive.extractfile(member))
                png = archive.extractfile(row["file"]).read()
                assert told(png)["seed"] == row["seed"]
                assert row in rows(tmp_path)
    keys = [f"{k:06d}_{j:04d}" for k in range(3) for j in range(4)]
    assert names == [f"{key}.{extension}" for key in keys for extension in ("json", "png")]


def test_the_manifest_has_every_parameter(tmp_path, server):
    make(tmp_path, server, solver="ddim", eta=0.5)

    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["complete"] is manifest["synthetic"] is True
    assert manifest["plan"] == {
        "identities": 3, "images": 4, "seed": 0, "format": "folders", "shard_size": 5,
        "max_similarity": 0.3, "solver": "ddim", "steps": 50, "eta": 0.5, "guidance_weight": 0.5,
        "switch_at": 500, "blending_order": "style_first",
    }  # fmt: skip
    assert manifest["generator"] == {
        "digest": "abc", "untrained": False, "server": "triton 2.51.0"
    }  # fmt: skip
    assert manifest["counts"] == {"identities": 3, "images": 12, "shards": 3}
    made_of = told((tmp_path / "images/000000/000000_0000.png").read_bytes())
    assert (made_of["steps"], made_of["eta"]) == (50, 0.5)


def test_people_are_the_first_that_differ_enough(tmp_path, server):
    make(tmp_path, server, identities=40, images=1)

    text = (tmp_path / "identities.jsonl").read_text()
    people = [json.loads(line) for line in text.splitlines()]
    seeds = [person["identity_seed"] for person in people]
    assert [person["identity"] for person in people] == list(range(40))
    assert seeds == [s for s in range(seeds[0], seeds[-1] + 1) if s % 3]
    assert [row["identity_seed"] for row in rows(tmp_path)] == seeds
    assert "key" not in text


@pytest.mark.parametrize("set_format", FORMATS)
def test_a_set_has_the_same_bytes_however_it_is_made(tmp_path, server, set_format):
    make(tmp_path / "a", server, format=set_format, identities=4)
    with FakeGenerator(key="b", max_faces_in_flight=3) as second, FakeGenerator() as third:
        make(tmp_path / "b", second, third, format=set_format, identities=4, in_flight=1)
        assert max(count for *_, count in second.portions) <= 3

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_makes_other_people_and_images(tmp_path, server):
    make(tmp_path / "a", server)
    make(tmp_path / "b", server, seed=1)

    a, b = rows(tmp_path / "a"), rows(tmp_path / "b")
    assert not {row["seed"] for row in a} & {row["seed"] for row in b}
    assert not {row["identity_seed"] for row in a} & {row["identity_seed"] for row in b}


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
        make(tmp_path / "set", server)
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
    server.script("generate_faces", *[Hang()] * 20)
    seen = []

    def look():
        deadline = time.monotonic() + PATIENCE_S
        while len(server.portions) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        seen.append(len(server.portions))
        server._scripts.clear()

    watcher = threading.Thread(target=look)
    watcher.start()
    make(tmp_path, server, identities=10, shard_size=2, in_flight=3, deadline_s=2)
    watcher.join()

    assert seen == [3]


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


def test_pillow_reads_the_images(tmp_path, server):
    from PIL import Image

    make(tmp_path, server)

    image = Image.open(io.BytesIO((tmp_path / "images/000000/000000_0000.png").read_bytes()))
    assert image.text["mien.generator"] == "abc"
