# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from mien_server.hair import own_styles
from mien_server.hair.closest_points import closest_points
from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import read_index, write_index
from mien_server.hair.polylines import curliness_of, lengths
from mien_server.hair.strand_formats import data_from_strands
from mien_server.hair.strands import Strands
from tests.server.hair.planted_hair import hair_on, mean_head, transformed
from tests.server.hair.planted_library import LONG, SHORT, THEIRS, entry_of, refused


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


@pytest.mark.parametrize("name", ["none", "own"])
def test_names_that_mean_something_else_where_a_style_is_asked_for_are_refused(library, name):
    error = refused(library.add, name, "x", data_from_strands(SHORT), **THEIRS)

    assert error.code == "INVALID_OPTION"
    assert "choose another" in error.text
