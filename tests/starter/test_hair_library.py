# SPDX-License-Identifier: Apache-2.0
"""The shipped hairstyles are what the rules grow, small, and as their index says."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from mien_server.hair.library_index import read_index
from mien_server.hair.polylines import lengths
from mien_server.hair.strands import Strands, strands_from_grid
from mien_server.hair.style_files import style_file_bytes
from mien_starter import cli
from mien_starter.commands import hairstyles
from mien_starter.hair import library
from mien_starter.hair import styles as styles_module
from mien_starter.hair.grounds import shipped_ground
from mien_starter.hair.growth import grow
from mien_starter.hair.styles import STYLES
from mien_starter.world.assets import WEIGHTS

FOLDER = WEIGHTS / "hairstyles"


@pytest.fixture(scope="module")
def ground():
    return shipped_ground()


@pytest.fixture(scope="module")
def entries():
    return json.loads((FOLDER / "index.json").read_text())["styles"]


def grid_of(entry):
    return library.grid_from_file((FOLDER / entry["file"]).read_bytes())


def test_the_index_names_every_style_once_with_licence_and_digests(entries):
    assert [entry["name"] for entry in entries] == list(STYLES)
    assert len(STYLES) >= 12
    for entry in entries:
        assert entry["title"] == STYLES[entry["name"]].title
        assert entry["licence"] == "Apache-2.0"
        for file, digest in (("file", "sha256"), ("thumbnail", "thumbnail_sha256")):
            content = (FOLDER / entry[file]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entry[digest]


def test_the_server_reads_the_index(entries):
    read = read_index(FOLDER)

    assert [entry.name for entry in read] == list(STYLES)
    assert [entry.strands for entry in read] == [entry["strands"] for entry in entries]


def test_the_folder_holds_what_the_index_names_and_is_small(entries):
    named = {entry[key] for entry in entries for key in ("file", "thumbnail")} | {"index.json"}
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}

    assert set(sizes) == named
    assert max(sizes.values()) < 300_000
    assert sum(sizes.values()) < 5_000_000


def test_files_hold_as_many_strands_and_as_long_ones_as_the_index_says(entries):
    for entry in entries:
        strands = strands_from_grid(grid_of(entry))
        centimetres = 100 * lengths(strands.points)
        shortest, longest = entry["length_range_cm"]

        assert len(strands) == entry["strands"]
        assert centimetres.min() == pytest.approx(shortest, abs=0.006)
        assert centimetres.max() == pytest.approx(longest, abs=0.006)
        assert np.quantile(centimetres, 0.9) == pytest.approx(entry["length_cm"], abs=0.06)


def test_thumbnails_show_something(entries):
    pictures = []
    for entry in entries:
        with Image.open(FOLDER / entry["thumbnail"]) as picture:
            pictures.append(np.asarray(picture))

    for picture in pictures:
        assert picture.shape == (256, 256, 3)
        assert picture.std() > 30
    assert len({picture.tobytes() for picture in pictures}) == len(STYLES)


@pytest.mark.parametrize("name", ["fade", "bob_fringe", "long_curly", "bun"])
def test_shipped_strands_are_those_that_the_rules_grow(entries, ground, name):
    entry = next(entry for entry in entries if entry["name"] == name)
    shipped = grid_of(entry)
    grown = library.grid_from_file(library.style_file(STYLES[name], ground))
    away = np.linalg.norm(shipped[..., :3] - grown[..., :3], axis=-1)

    np.testing.assert_array_equal(shipped.any(axis=(2, 3)), grown.any(axis=(2, 3)))
    # Other processors round otherwise.
    assert np.percentile(away, 99) < 1e-4


@pytest.mark.parametrize("name", ["buzz", "afro", "ponytail"])
def test_a_file_moves_no_point_by_more_than_a_fraction_of_the_step(ground, name):
    style = STYLES[name]
    grid = grow(style.recipe, style.seed, ground)
    read = library.grid_from_file(library.style_file(style, ground))
    filled = grid.any(axis=(2, 3))
    points, back = grid[filled][..., :3].astype(float), read[filled][..., :3].astype(float)
    step = lengths(points) / 99
    steps = np.linalg.norm(np.diff(back, axis=1), axis=2)

    np.testing.assert_array_equal(read.any(axis=(2, 3)), filled)
    assert (np.linalg.norm(back - points, axis=2).max(axis=1) / step).max() < 0.03
    assert (np.abs(steps - step[:, None]).max(axis=1) / step).max() < 0.06
    np.testing.assert_allclose(back[:, 0], points[:, 0], atol=1e-7)


def test_a_file_of_other_strands_is_no_grid():
    points = np.cumsum(np.ones((3, 100, 3)), axis=1)
    few = Strands(points[:, :20], points[:, :20, 0] * 0)

    with pytest.raises(ValueError, match="on no scalp"):
        library.grid_from_file(style_file_bytes(Strands(points, points[..., 0] * 0)))
    with pytest.raises(ValueError, match="strands of 20 points"):
        library.grid_from_file(style_file_bytes(few, np.arange(3)))


@pytest.fixture
def small_pictures(monkeypatch):
    """Few hairs on few pixels: the shipped ones take a second each."""
    monkeypatch.setattr(library, "_THUMBNAIL_PX", 48)
    monkeypatch.setattr(library, "_OVERSAMPLE", 1)
    monkeypatch.setattr(library, "_HAIRS", 1000)
    monkeypatch.setattr(library, "_SHORT_HAIRS", 1000)
    monkeypatch.setattr(hairstyles, "PICTURE_PX", 48)


def test_the_command_writes_the_same_bytes_again(small_pictures, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(styles_module, "STYLES", {"buzz": STYLES["buzz"]})

    assert cli.main(["hairstyles", "--to", str(tmp_path / "one")]) == 0
    assert cli.main(["hairstyles", "--to", str(tmp_path / "two")]) == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "buzz.npz",
        "buzz.png",
        "index.json",
    }
    assert "1 styles" in capsys.readouterr().err


def test_a_sheet_shows_random_styles_from_four_sides(small_pictures, tmp_path):
    assert cli.main(["hairstyles", "--sheet", str(tmp_path / "sheet.png"), "--draws", "1"]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 4 * 48, 48)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "nothing to write"),
        (["--sheet", "x.gif"], "must end in"),
        (["--sheet", "x.png", "--draws", "-1"], "not be negative"),
    ],
    ids=["nothing", "ending", "negative"],
)
def test_impossible_requests_end_with_exit_status_2(argv, reason, capsys):
    assert cli.main(["hairstyles", *argv]) == 2
    assert reason in capsys.readouterr().err
