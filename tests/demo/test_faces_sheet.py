# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from demo.faces_sheet import EDGE_PX, GAP_PX, SIDE_PX, TITLE_PX, WHO_GAP_PX, FacesSheet

RED, GREEN, BLUE = (250, 0, 0), (0, 200, 0), (0, 0, 190)


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), colour).save(buffer, "PNG")
    return buffer.getvalue()


def saved(sheet, tmp_path):
    sheet.save(tmp_path / "faces.png")
    assert [path.name for path in tmp_path.iterdir()] == ["faces.png"]
    return np.asarray(Image.open(tmp_path / "faces.png")).astype(int)


def middle(image, column, top):
    """The colour in the middle of a square; column 0 is that of the photographs."""
    left = EDGE_PX + column * (SIDE_PX + GAP_PX) + (WHO_GAP_PX if column else 0)
    return tuple(image[top + SIDE_PX // 2, left + SIDE_PX // 2])


@pytest.fixture
def sheet():
    return FacesSheet(["she", "he"], columns=4, film=3)


def test_people_have_rows_and_styles_columns_and_a_face_takes_the_place_of_its_preview(
    sheet, tmp_path
):
    sheet.portrait(0, Image.new("RGB", (50, 50), BLUE))
    sheet.face(0, 3, png(RED), "step 3")
    sheet.face(1, 0, png(RED), "step 3")
    empty = saved(sheet, tmp_path)
    sheet.face(1, 0, png(GREEN), "0.71")
    image = saved(sheet, tmp_path)

    row_px = SIDE_PX + 30
    assert middle(image, 0, TITLE_PX) == BLUE
    assert middle(image, 4, TITLE_PX) == RED
    assert middle(image, 1, TITLE_PX + row_px) == GREEN
    assert middle(empty, 1, TITLE_PX + row_px) == RED
    assert len({middle(image, column, TITLE_PX) for column in (1, 2, 3)}) == 1


def test_the_strip_takes_as_many_pictures_as_it_has_room_for(sheet, tmp_path):
    for colour in (RED, GREEN, BLUE, (1, 2, 3)):
        sheet.film(png(colour), "step")
    image = saved(sheet, tmp_path)

    assert [
        (image == colour).all(axis=-1).sum() > 0.9 * SIDE_PX**2
        for colour in (RED, GREEN, BLUE, (1, 2, 3))
    ] == [True, True, True, False]


def test_a_warning_is_seen(sheet, tmp_path):
    plain = saved(sheet, tmp_path)
    sheet.warn("UNTRAINED: random weights")
    warned = saved(sheet, tmp_path)

    changed = (plain != warned).any(axis=-1)
    assert changed[:TITLE_PX].any()
    assert not changed[TITLE_PX:].any()
