# SPDX-License-Identifier: Apache-2.0
"""The folder of hairstyles that users add: others in it, crashes, and many at once."""

import hashlib
import threading
from pathlib import Path

import pytest

from mien_server.errors import ServingError
from mien_server.hair import library_index
from mien_server.hair.library_index import HairstyleEntry
from mien_server.hair.own_styles import OwnStyles
from mien_server.hair.strand_formats import data_from_strands
from tests.server.hair.planted_library import SHORT, THEIRS


def planted(styles, name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    file, thumbnail = styles.file_names(name, digest)
    return HairstyleEntry(name, name, file, digest, thumbnail, 1, 1.0, "x", "y")


def check_files(styles):
    for entry in styles.entries().values():
        content = (styles.folder / entry.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert (styles.folder / entry.thumbnail).read_bytes() == b"picture"


def test_files_that_are_nobodys_of_ours_are_left_in_the_folder(library, tmp_path, quick):
    own = tmp_path / "own"
    own.mkdir()
    (own / "holiday.png").write_bytes(b"x")
    (own / "notes-2024.npz").write_bytes(b"x")
    (own / "left-0123456789ab.npz").write_bytes(b"of a writer that died")
    (own / ".part-0123456789abcdef").write_bytes(b"of a writer that died")

    library.add("mine", "Mine", data_from_strands(SHORT), **THEIRS)

    assert {path.name for path in own.iterdir() if "mine" not in path.name} == {
        ".lock", "index.json", "holiday.png", "notes-2024.npz",
    }  # fmt: skip


class Crash(BaseException):
    """A process that is killed: nothing it would still do is done."""


def crashing(monkeypatch, steps):
    """Let the process die at the step of this number that touches the disk."""
    left = [steps]

    def dying(function):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            return function(*arguments, **options)

        return step

    for name in ("replace", "unlink", "open"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    monkeypatch.setattr(library_index.os, "fsync", dying(library_index.os.fsync))


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_folder_survives_a_crash_at_any_step_and_is_tidy_after_the_next_change(
    tmp_path, monkeypatch, change
):
    crashes = 0
    for steps in range(60):
        styles = OwnStyles(tmp_path / f"{steps}")
        styles.add(planted(styles, "old"), b"old", b"picture")
        with monkeypatch.context() as patched:
            crashing(patched, steps)
            try:
                if change == "add":
                    styles.add(planted(styles, "new"), b"new", b"picture")
                else:
                    styles.remove("old")
                done = True
            except Crash:
                done = False
                crashes += 1
        again = OwnStyles(styles.folder)
        found = again.entries()
        before, after = ({"old"}, {"old", "new"}) if change == "add" else ({"old"}, set())
        assert set(found) in ([after] if done else [before, after])
        check_files(again)
        again.add(planted(again, "next"), b"next", b"picture")
        check_files(again)
        assert len(list(styles.folder.iterdir())) == 2 + 2 * len(again.entries())
        if done:
            break

    assert crashes > 5
    assert done


def test_threads_that_add_and_remove_at_once_lose_nothing_and_share_no_name(tmp_path):
    folder, outcomes, codes = tmp_path / "own", [], []
    ready = threading.Barrier(4)

    def work(number):
        styles = OwnStyles(folder)
        ready.wait()
        for turn in range(3):
            name = f"mine_{number}_{turn}"
            styles.add(planted(styles, name), name.encode(), b"picture")
            try:
                styles.add(planted(styles, f"ours_{turn}"), f"ours_{turn}".encode(), b"picture")
                outcomes.append(turn)
            except ServingError as error:
                codes.append(error.code)
            if turn % 2:
                assert styles.remove(name)
            check = styles.entries()
            assert f"mine_{number}_0" in check

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    styles = OwnStyles(folder)
    assert sorted(outcomes) == [0, 1, 2]
    assert codes == 9 * ["INVALID_OPTION"]
    expected = {f"mine_{n}_{t}" for n in range(4) for t in (0, 2)}
    assert set(styles.entries()) == expected | {f"ours_{t}" for t in range(3)}
    check_files(styles)


def test_readers_are_answered_while_others_change_the_folder(library, quick):
    stop, failures = threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                for entry in library.entries():
                    library.hairstyle(entry.name)
            except ServingError as error:  # removed between the list and the question
                if "must be one of" not in error.text:
                    failures.append(error)
            except BaseException as error:
                failures.append(error)
                raise

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(3):
        library.add(f"mine_{turn}", "Mine", data_from_strands(SHORT), **THEIRS)
        if turn:
            library.remove(f"mine_{turn - 1}")
    stop.set()
    for reader in readers:
        reader.join()

    assert not failures
    assert [entry.name for entry in library.entries()] == ["short", "long", "mine_2"]
