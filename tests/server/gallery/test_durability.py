# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged outlives the process, the disk's room, and the file's replacement."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mien_server.errors import ServingError
from mien_server.gallery import LocalGallery, gallery_file, record_log
from tests.server.gallery.enrol_until_killed import THREADS
from tests.server.gallery.planted_people import (
    KEY,
    OTHER_KEY,
    SPACE,
    enrolments,
    listed,
    names,
    people,
)

FACES = people(30, per=2)


def opened(folder, key=KEY):
    return LocalGallery.open(folder, "staff", SPACE, key)


def everything(gallery):
    return [(one, gallery.search(FACES[:, 0], top=30)) for one in listed(gallery)]


def unwritable(call, *arguments):
    with pytest.raises(ServingError) as error:
        call(*arguments)
    assert error.value.code == "GALLERY_UNWRITABLE"
    return error.value.text


def test_who_was_acknowledged_is_there_after_kill_9_in_order(local):
    folder, kept, gone = local.folder, [], set()
    local.close()
    for run in range(4):
        command = [sys.executable, "-m", "tests.server.gallery.enrol_until_killed"]
        child = subprocess.Popen(
            [*command, str(folder), str(run)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        said = [child.stdout.readline().strip() for _ in range(25 + 7 * run)]
        child.send_signal(signal.SIGKILL)
        said += [line.strip() for line in child.stdout if line.endswith("\n")]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        kept += [name for name in said if not name.startswith("-")]
        gone |= {name[1:] for name in said if name.startswith("-")}

        with opened(folder) as gallery:
            there = [one.name for one in listed(gallery)]
            assert set(kept) <= set(there)
            assert not gone & set(there)
            # At most what each thread was at when it died, and had not been told of.
            assert len(set(there) - set(kept)) <= THREADS * (run + 1)
            for thread in range(THREADS):
                own = [int(n.split("-")[2]) for n in there if n.startswith(f"run{run}-{thread}-")]
                assert own == sorted(own)
            assert all(one.metadata["number"] >= 0 for one in listed(gallery))
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "templates.log"]


def test_a_gallery_is_the_same_when_it_is_opened_again(local):
    local.enrol_many(enrolments(FACES))
    local.enrol("person3", FACES[3], existing="replace")
    local.enrol("person4", people(1, seed=5)[0], {"x": "ü"}, existing="add")
    local.delete("person7")
    before = everything(local)
    for change in (lambda gallery: None, LocalGallery.compact, LocalGallery.reissue):
        change(local)
        assert_same(everything(local), before)
        local.close()
        local = opened(local.folder)
        assert_same(everything(local), before)
    local.close()


def assert_same(after, before):
    assert [one for one, _ in after] == [one for one, _ in before]
    for (_, found), (_, expected) in zip(after, before, strict=True):
        for some, others in zip(found, expected, strict=True):
            assert [m.score for m in some] == pytest.approx([m.score for m in others], abs=1e-5)
            assert names(some[:1]) == names(others[:1])


def test_a_deleted_template_leaves_the_file_at_once_if_asked_and_later_anyway(local):
    local.enrol_many(enrolments(FACES))
    size = (local.folder / "templates.log").stat().st_size

    assert not local.delete("person0").erased
    assert (local.folder / "templates.log").stat().st_size > size
    assert local.delete("person1", compact=True).erased
    assert (local.folder / "templates.log").stat().st_size < size - 4 * 2048

    for _ in range(400):  # 1.6 MiB that nobody needs
        local.enrol("person2", FACES[2], existing="replace")
    assert (local.folder / "templates.log").stat().st_size < 2**20 + 2 * size
    assert local.count().subjects == 28


def test_a_new_key_takes_the_place_of_the_old_and_changes_every_stored_vector(local):
    local.enrol_many(enrolments(FACES))
    stored = local._keeper.opened().contents.rows.view.templates[: 2 * len(FACES)].copy()

    local.reissue(OTHER_KEY)

    again = local._keeper.opened().contents.rows.view.templates[: 2 * len(FACES)]
    assert abs((stored * again).sum(axis=1)).max() < 6 / 512**0.5
    assert names(local.search(FACES[4, 0], top=1)[0]) == ["person4"]
    local.enrol("late", FACES[4, 0])
    local.close()
    with pytest.raises(ServingError) as error:
        opened(local.folder, KEY)
    assert error.value.code == "WRONG_GALLERY_KEY"
    with opened(local.folder, OTHER_KEY) as gallery:
        assert gallery.count().subjects == 31


def test_a_file_that_may_grow_no_further_refuses_and_goes_on_when_it_may(local):
    local.enrol_many(enrolments(FACES[:10]))
    before = everything(local)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (local.folder / "templates.log").stat().st_size
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3000, limits[1]))
        text = unwritable(local.enrol_many, enrolments(FACES[10:20], "more"))
        assert "File too large" in text
        assert "make room" in text
        assert everything(local) == before
        assert (local.folder / "templates.log").stat().st_size == size
        local.delete("person9")  # there is room for so little
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    local.enrol_many(enrolments(FACES[10:20], "more"))
    local.close()
    with opened(local.folder) as gallery:
        assert gallery.count().subjects == 19


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_whatever_call_to_the_disk_fails_nothing_acknowledged_is_lost(
    local, monkeypatch, failing, kind
):
    local.enrol_many(enrolments(FACES[:10]))
    calls = [0]

    def failing_at(number, function):
        def call(*arguments):
            calls[0] += 1
            if calls[0] - 1 == number:
                raise OSError(kind, os.strerror(kind))
            return function(*arguments)

        return call

    # Records, the disk's word that it has them, the mark, and its word again.
    with monkeypatch.context() as patched:
        patched.setattr(record_log.os, "pwrite", failing_at(failing, os.pwrite))
        patched.setattr(record_log.os, "fdatasync", failing_at(failing, os.fdatasync))
        assert os.strerror(kind) in unwritable(local.enrol, "refused", FACES[20])
    assert calls[0] == failing + 1
    copy = crashed(local)
    assert {one.name for one in listed(copy)} >= {f"person{n}" for n in range(10)}
    copy.close()
    assert [one.name for one in listed(local)] == [f"person{n}" for n in range(10)]

    local.enrol("after", FACES[21])
    copy = crashed(local)
    assert [one.name for one in listed(copy)] == [*(f"person{n}" for n in range(10)), "after"]
    copy.close()


def crashed(gallery):
    """What would be there if the process had died now."""
    folder = gallery.folder.parent / "crashed"
    folder.mkdir(exist_ok=True)
    (folder / "templates.log").write_bytes((gallery.folder / "templates.log").read_bytes())
    return opened(folder)


def test_a_compaction_without_room_leaves_the_file_and_the_receipt_says_so(local, monkeypatch):
    local.enrol_many(enrolments(FACES[:10]))
    with monkeypatch.context() as patched:

        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(record_log.os, "fsync", full)
        unwritable(local.compact)
        unwritable(local.reissue)
        assert not local.delete("person3", compact=True).erased
    assert [path.name for path in local.folder.glob(".part*")] == []
    local.enrol("after", FACES[20])
    assert local.count().subjects == 10
    local.close()
    with opened(local.folder) as gallery:
        assert gallery.count().subjects == 10
        assert "person3" not in names(gallery.search(FACES[3], top=30)[0])


def test_a_file_whose_place_in_the_folder_is_not_sure_is_written_once_more(local, monkeypatch):
    local.enrol_many(enrolments(FACES[:3]))
    with monkeypatch.context() as patched:

        def failing(_):
            raise OSError(errno.EIO, "no")

        patched.setattr(gallery_file, "_synchronise", failing)
        local.compact()
    file = (local.folder / "templates.log").stat().st_ino
    local.enrol("after", FACES[20])
    assert (local.folder / "templates.log").stat().st_ino != file
    assert local.count().subjects == 4


def test_a_file_that_somebody_took_away_is_written_once_more_before_anybody_is_acknowledged(local):
    local.enrol_many(enrolments(FACES[:3]))
    (local.folder / "templates.log").unlink()

    local.enrol("after", FACES[20])

    local.close()
    with opened(local.folder) as gallery:
        assert gallery.count().subjects == 4


def test_a_compaction_that_is_interrupted_once_the_file_is_replaced_loses_nothing(
    local, monkeypatch
):
    local.enrol_many(enrolments(FACES[:3]))
    with monkeypatch.context() as patched:

        def interrupted(_):
            raise KeyboardInterrupt

        patched.setattr(gallery_file, "_synchronise", interrupted)
        for change in (local.compact, local.reissue):
            with pytest.raises(KeyboardInterrupt):
                change()
            with crashed(local) as copy:
                assert copy.count().subjects == 3
    local.enrol("after", FACES[20])
    with crashed(local) as copy:
        assert copy.count().subjects == 4
        assert names(copy.search(FACES[20, 0], top=1)[0]) == ["after"]
        assert names(copy.search(FACES[1, 0], top=1)[0]) == ["person1"]


def test_one_process_at_a_time_has_a_gallery(local):
    with pytest.raises(ServingError) as error:
        opened(local.folder)
    assert error.value.code == "GALLERY_LOCKED"
    local.close()
    opened(local.folder).close()
