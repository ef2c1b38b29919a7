# SPDX-License-Identifier: Apache-2.0
import hashlib
import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien_server.errors import ServingError
from mien_server.hair import library_index, own_styles, style_files
from mien_server.hair.closest_points import closest_points
from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import HairstyleEntry, read_index, write_index
from mien_server.hair.own_styles import OwnStyles
from mien_server.hair.polylines import curliness_of, lengths
from mien_server.hair.strand_formats import data_from_strands
from mien_server.hair.strands import Strands
from mien_server.hair.style_files import style_file_bytes, style_from_bytes
from tests.server.hair.planted_hair import hair_on, mean_head, transformed

SHORT, LONG = (hair_on(mean_head(), count=30, seed=1, points=12, end_m=y) for y in (0.0, -0.25))
THEIRS = {"licence": "CC-BY-4.0", "author": "A. Person"}


def entry_of(name, content, strands=30, thumbnail="", **changes):
    digest = hashlib.sha256(content).hexdigest()
    values = {
        "name": name, "title": name.title(), "file": f"{name}.npz", "sha256": digest,
        "thumbnail": thumbnail, "strands": strands, "length_cm": 12.5, "licence": "Apache-2.0",
        "origin": "planted",
    }  # fmt: skip
    return HairstyleEntry(**{**values, **changes})


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    cells = np.arange(30)
    short, long = style_file_bytes(SHORT, cells), style_file_bytes(LONG)
    (folder / "short.npz").write_bytes(short)
    (folder / "long.npz").write_bytes(long)
    (folder / "short.png").write_bytes(b"a picture")
    write_index(folder, (entry_of("short", short, thumbnail="short.png"), entry_of("long", long)))
    return folder


@pytest.fixture
def library(shipped, tmp_path):
    return HairstyleLibrary(shipped, tmp_path / "own", mean_head())


@pytest.fixture
def quick(monkeypatch):
    """No pictures: they take most of the time of `add`."""
    monkeypatch.setattr("mien_server.hair.library.strand_picture_png", lambda *_: b"picture")


def refused(call, *arguments, **options):
    with pytest.raises(ServingError) as caught:
        call(*arguments, **options)
    return caught.value


def test_shipped_styles_are_listed_in_their_order_and_read_as_they_were_written(library):
    short, long = library.hairstyle("short"), library.hairstyle("long")

    assert [entry.name for entry in library.entries()] == ["short", "long"]
    for style, given in ((short, SHORT), (long, LONG)):
        distance = lengths(given.points)[:, None, None] / 11
        assert (np.abs(style.strands.points - given.points) / distance).max() < 0.02
        np.testing.assert_array_equal(style.strands.roots, given.roots)
        expected = curliness_of(style.strands.points)
        np.testing.assert_allclose(style.strands.curliness, expected, atol=1e-6)
    np.testing.assert_array_equal(short.cells, np.arange(30))
    assert long.cells is None
    assert not short.is_own
    assert library.thumbnail("short") == b"a picture"
    assert library.thumbnail("long") is None


def test_listing_reads_no_style(library, shipped):
    for path in shipped.glob("*.npz"):
        path.unlink()

    assert len(library.entries()) == 2
    assert library.entry("long").length_cm == 12.5


def test_an_added_style_is_brought_to_the_librarys_head_from_wherever_it_was(library):
    elsewhere = transformed(LONG, 1.2, [0.1, 1.6, -0.3])

    entry = library.add("mine", " My hair ", data_from_strands(elsewhere), **THEIRS)

    style = library.hairstyle("mine")
    on_skin = closest_points(style.strands.roots, mean_head().vertices, mean_head().skin).points
    np.testing.assert_allclose(on_skin, style.strands.roots, atol=1e-5)
    assert np.linalg.norm(style.strands.roots - LONG.roots, axis=1).max() < 0.005
    assert (entry.title, entry.licence, entry.origin) == ("My hair", "CC-BY-4.0", "A. Person")
    assert entry.length_cm == pytest.approx(30, abs=12)
    assert style.is_own
    assert library.entries()[-1] == entry
    picture = Image.open(io.BytesIO(library.thumbnail("mine")))
    assert picture.size == (256, 256)
    # Hair is brown, the head and the background are grey.
    assert np.ptp(np.asarray(picture).astype(int), axis=2).max() > 25


def test_another_library_on_the_same_folder_sees_what_was_added_and_removed(
    library, shipped, tmp_path, quick
):
    other = HairstyleLibrary(shipped, tmp_path / "own", mean_head())
    library.add("mine", "Mine", data_from_strands(SHORT), **THEIRS)

    assert other.entry("mine").title == "Mine"

    other.remove("mine")

    assert refused(library.hairstyle, "mine").code == "INVALID_OPTION"
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [".lock", "index.json"]


def test_a_name_can_be_used_again_after_its_style_was_removed(library, quick):
    library.add("mine", "First", data_from_strands(SHORT), **THEIRS)
    library.remove("mine")
    library.add("mine", "Second", data_from_strands(LONG), **THEIRS)

    assert library.entry("mine").title == "Second"
    assert np.ptp(library.hairstyle("mine").strands.points[..., 1]) > 0.25


def test_shipped_styles_are_neither_replaced_nor_removed(library, shipped):
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}

    assert "already" in refused(library.add, "short", "x", data_from_strands(SHORT), **THEIRS).text
    assert "stays" in refused(library.remove, "short").text
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == before


def test_a_shipped_style_that_comes_later_hides_the_users_of_the_same_name(
    shipped, tmp_path, library, quick
):
    library.add("bob", "Mine", data_from_strands(SHORT), **THEIRS)
    content = (shipped / "long.npz").read_bytes()
    (shipped / "bob.npz").write_bytes(content)
    write_index(shipped, (*read_index(shipped), entry_of("bob", content)))

    later = HairstyleLibrary(shipped, tmp_path / "own", mean_head())

    assert [entry.title for entry in later.entries()] == ["Short", "Long", "Bob"]
    assert not later.hairstyle("bob").is_own


@pytest.mark.parametrize(
    "name", ["", "Bob", "a b", "../up", "a/b", "ä", "x" * 41, "a\n", ".hidden", "a.npz"]
)
def test_names_that_could_be_paths_or_confuse_are_refused(library, tmp_path, name):
    error = refused(library.add, name, "x", data_from_strands(SHORT), **THEIRS)

    assert error.code == "INVALID_OPTION"
    assert "1 to 40" in error.text
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("field", ["title", "licence", "author"])
@pytest.mark.parametrize("text", ["", "  ", "x" * 201, "a\x00b", "two\nlines"])
def test_texts_that_say_nothing_or_cannot_be_shown_are_refused(library, field, text):
    values = {"title": "Fine", **THEIRS, field: text}
    title = values.pop("title")

    error = refused(library.add, "mine", title, data_from_strands(SHORT), **values)

    assert error.code == "INVALID_OPTION"
    assert field in error.text


def test_damaged_strand_files_are_refused_and_leave_nothing(library, tmp_path):
    error = refused(library.add, "mine", "x", data_from_strands(SHORT)[:-7], **THEIRS)

    assert error.code == "INVALID_TENSOR"
    assert not (tmp_path / "own").exists()
    assert len(library.entries()) == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda points: points[:, :, [0, 2, 1]], id="z up and mirrored"),
        pytest.param(lambda points: 8 * (points - points.mean()), id="as large as a room"),
        pytest.param(lambda points: points[:, np.argsort(points[0, :, 2])] * 8, id="no order"),
    ],
)
def test_strands_whose_first_points_are_on_no_scalp_are_refused(library, tmp_path, change):
    points = change(hair_on(mean_head(), count=300, points=12, end_m=-0.3).points)
    content = data_from_strands(Strands(points, np.zeros(points.shape[:2])))

    error = refused(library.add, "mine", "Mine", content, **THEIRS)

    assert error.code == "INVALID_TENSOR"
    assert "off any scalp" in error.text
    assert not (tmp_path / "own").exists()


def test_an_unknown_style_is_refused_with_those_there_are(library):
    for call in (library.entry, library.hairstyle, library.thumbnail, library.remove):
        error = refused(call, "mullet")
        assert error.code == "INVALID_OPTION"
        assert "short, long" in error.text


def test_without_a_folder_of_ones_own_nothing_can_be_added(shipped):
    library = HairstyleLibrary(shipped, None, mean_head())

    assert "no folder" in refused(library.add, "mine", "x", data_from_strands(SHORT), **THEIRS).text
    assert "no folder" in refused(library.remove, "mine").text
    assert len(library.entries()) == 2


def test_no_more_than_so_many_styles_are_kept(library, quick, monkeypatch):
    monkeypatch.setattr(own_styles, "MAX_STYLES", 1)
    library.add("one", "One", data_from_strands(SHORT), **THEIRS)

    error = refused(library.add, "two", "Two", data_from_strands(LONG), **THEIRS)

    assert "as many as are allowed" in error.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"no zip", "not the file of the index", id="other bytes"),
        pytest.param(None, "cannot be read", id="missing"),
    ],
)
def test_a_style_file_that_was_touched_is_not_used(library, shipped, content, said):
    path = shipped / "long.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=said):
        library.hairstyle("long")


@pytest.mark.parametrize("points", [3, 100])
def test_style_files_give_wild_strands_back_as_well_as_smooth_ones(points):
    generator = np.random.default_rng(points)
    wild = np.cumsum(generator.normal(0, 0.01, (50, points, 3)), axis=1) * [[[1, 5, 1]]]
    strands = Strands(wild, np.zeros(wild.shape[:2]))

    found = style_from_bytes(style_file_bytes(strands)).strands

    step = np.abs(np.diff(wild, axis=1)).max(axis=(1, 2))[:, None, None]
    assert (np.abs(found.points - strands.points) / step).max() < 0.02
    assert len(style_file_bytes(hair_on(mean_head(), count=200, points=100))) < 80_000


@pytest.mark.parametrize(
    "points", [np.zeros((2, 5, 3)), np.zeros((0, 5, 3)), np.ones((3, 2, 3)) * [[[0]], [[1]], [[2]]]]
)
def test_strands_that_a_style_file_cannot_hold_are_refused(points):
    with pytest.raises(ValueError, match="3 points or more"):
        style_file_bytes(Strands(points, np.zeros(points.shape[:2])))


SMALL = {
    "root": np.zeros((3, 3), np.float32),
    "unit": np.full(3, 0.001, np.float32),
    "step": np.ones((3, 3), np.int8),
    "bends": np.zeros((3, 5, 3), np.int8),
}


def npz(arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def test_a_style_file_is_the_sums_that_it_says():
    strands = style_from_bytes(npz(SMALL)).strands

    np.testing.assert_allclose(
        strands.points, np.tile(0.001 * np.arange(7)[:, None], (3, 1, 3)), atol=1e-7
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"bends": np.zeros((3, 5), np.int8)}, "bends has shape", id="flat"),
        pytest.param({"bends": np.zeros((0, 5, 3), np.int8)}, "bends has shape", id="bald"),
        pytest.param({"bends": np.zeros((3, 5, 3))}, "whole numbers", id="real bends"),
        pytest.param({"root": np.zeros((2, 3), np.float32)}, "root is", id="few roots"),
        pytest.param({"root": np.full((3, 3), np.nan)}, "not finite", id="NaN"),
        pytest.param({"unit": np.full(3, 1e38)}, "not finite", id="overflow"),
        pytest.param({"step": np.zeros((3, 4), np.int8)}, "step is", id="four dimensions"),
        pytest.param({"hairs": np.zeros(3)}, "it holds bends, hairs", id="other name"),
        pytest.param({"grid_cells": np.arange(2)}, "3 whole", id="few cells"),
        pytest.param({"grid_cells": np.array([1, 1, 2])}, "different", id="cell twice"),
        pytest.param({"grid_cells": np.array([1, 5, 1024])}, "different", id="no such cell"),
        pytest.param({"step": np.array([[object()] * 3] * 3)}, "Object arrays", id="pickle"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_style_files_with_other_arrays_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        style_from_bytes(npz({**SMALL, **change}))


def test_a_style_file_without_an_array_is_refused():
    with pytest.raises(ValueError, match="expected root, unit, step, bends"):
        style_from_bytes(npz({name: SMALL[name] for name in ("root", "unit", "step")}))


def test_a_style_file_that_unpacks_to_too_much_is_refused_before_it_does(monkeypatch):
    monkeypatch.setattr(style_files, "MAX_UNPACKED_BYTES", 100_000)
    content = npz({**SMALL, "bends": np.zeros((3, 20_000, 3), np.int8)})

    with pytest.raises(ValueError, match="unpacks to"):
        style_from_bytes(content)
    assert len(content) < 5_000


GOOD = {
    "name": "a", "title": "A", "file": "a.npz", "sha256": "0" * 64, "thumbnail": "", "strands": 3,
    "length_cm": 4, "licence": "x", "origin": "y",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param('{"version": 2, "styles": []}', id="other version"),
        pytest.param('{"version": 1}', id="no styles"),
        pytest.param(json.dumps({"version": 1, "styles": [GOOD, GOOD]}), id="twice"),
        *[
            pytest.param(json.dumps({"version": 1, "styles": [{**GOOD, key: value}]}), id=key)
            for key, value in {
                "file": "../../etc/passwd",
                "thumbnail": "/etc/passwd",
                "name": "A",
                "sha256": "f" * 63,
                "strands": True,
                "length_cm": -1,
                "licence": None,
            }.items()
        ],
    ],
)
def test_a_damaged_index_is_named_and_not_followed(tmp_path, text):
    (tmp_path / "index.json").write_text(text)

    with pytest.raises(ValueError, match=r"index\.json is damaged"):
        HairstyleLibrary(tmp_path, None, mean_head())


def test_keys_of_a_newer_index_are_left_alone(tmp_path):
    document = {"version": 1, "styles": [{**GOOD, "mood": "cheerful"}], "made": "today"}
    (tmp_path / "index.json").write_text(json.dumps(document))

    assert read_index(tmp_path)[0].name == "a"


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


def planted(styles, name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    file, thumbnail = styles.file_names(name, digest)
    return HairstyleEntry(name, name, file, digest, thumbnail, 1, 1.0, "x", "y")


def check_files(styles):
    for entry in styles.entries().values():
        content = (styles.folder / entry.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert (styles.folder / entry.thumbnail).read_bytes() == b"picture"


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
