# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mien_starter import cli
from mien_starter.sheets import OVERSAMPLE, calm_shot, sheet


@pytest.mark.parametrize(
    ("kind", "rows", "columns"), [("people", 1, 3), ("shots", 2, 2), ("heads", 2, 1)]
)
def test_a_sheet_has_a_picture_of_the_stated_size_in_each_place(kind, rows, columns, tmp_path):
    path = tmp_path / "new" / "sheet.png"
    grid = ["--rows", str(rows), "--columns", str(columns), "--size", "40"]

    assert cli.main(["sheet", "--kind", kind, *grid, "--to", str(path)]) == 0

    picture = np.asarray(Image.open(path))
    assert picture.shape == (40 * rows, 40 * columns, 3)
    cells = picture.reshape(rows, 40, columns, 40, 3).swapaxes(1, 2).reshape(-1, 4800)
    assert len(np.unique(cells, axis=0)) == rows * columns
    assert cells.std(axis=1).min() > 10


def test_pictures_are_laid_out_row_by_row():
    side = 4 * OVERSAMPLE
    pictures = [np.full((side, side, 3), value, np.uint8) for value in range(6)]

    laid = sheet(pictures, columns=3)

    assert laid.shape == (8, 12, 3)
    np.testing.assert_array_equal(laid[::4, ::4, 0], [[0, 1, 2], [3, 4, 5]])


def test_a_calm_shot_has_no_expression_and_turns_only_the_head():
    shot = calm_shot(yaw_deg=20, pitch_deg=0)

    assert not shot.expression.any()
    np.testing.assert_allclose(shot.pose[:3], [0, np.deg2rad(20), 0], atol=1e-6)
    assert not shot.pose[3:].any()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--to", "sheet.gif"], ".png"),
        (["--to", "sheet.png", "--rows", "0"], "at least 1"),
        (["--to", "sheet.png", "--size", "31"], "at least 32"),
        (["--to", "sheet.png", "--first", "9999", "--rows", "1"], "0 to 9999"),
    ],
    ids=["ending", "no row", "tiny", "past the split"],
)
def test_impossible_sheets_end_with_exit_status_2(options, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["sheet", *options]) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
