# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from demo.picture import DOT, HEIGHT_PX, MARGIN_PX, MARK, draw_fit, draw_verification
from mien import Client, Face, FakeTransport, FittedFace

BOX = (100.0, 80.0, 200.0, 190.0)
FIVE = np.float32([(130, 120), (170, 120), (150, 145), (135, 165), (165, 165)])
SIDE = 400


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "photograph.png"
    Image.new("RGB", (SIDE, SIDE), (60, 60, 60)).save(path)
    return path


def fit(*, overlay_side=2 * SIDE, **changes):
    """A head whose vertices reach from (90, 40) to (210, 220); its overlay is blue."""
    buffer = io.BytesIO()
    Image.new("RGB", (overlay_side, overlay_side), (0, 0, 255)).save(buffer, "PNG")
    return FittedFace(**{
        "codes": np.zeros(236, np.float32),
        "shape": np.zeros(300, np.float32),
        "vertices": np.zeros((3, 3), np.float32),
        "vertices_px": np.float32([(90, 40, 0), (210, 100, 0), (150, 220, 0)]),
        "face": Face(BOX, FIVE),
        "landmarks_68": np.tile(np.float32([110, 150]), (68, 1)),
        "fitted_landmarks_68": np.tile(np.float32([110, 154]), (68, 1)),
        "overlay": buffer.getvalue(),
        "untrained": False,
        "request_id": "",
        **changes,
    })  # fmt: skip


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def centre_of(image, colour, near, radius):
    rows, columns = np.nonzero((image == colour).all(axis=-1))
    close = np.hypot(columns - near[0], rows - near[1]) < radius
    return columns[close].mean() + 0.5, rows[close].mean() + 0.5


def test_a_fit_is_drawn_about_the_head_with_what_was_found_and_what_was_fitted(
    photograph, tmp_path
):
    target = tmp_path / "fit.png"

    draw_fit(photograph, fit(), target)

    image = pixels(target)
    # A margin of a quarter of the longer side, 45 pixels, but nothing above the photograph.
    left, top, right, bottom = 45, 0, 255, 265
    factor = HEIGHT_PX / (bottom - top)
    width = round((right - left) * factor)
    for mark, colour in ((FIVE[0], MARK), (FIVE[4], MARK), ((110, 150), DOT)):
        place = (np.array(mark) - (left, top)) * factor + MARGIN_PX
        np.testing.assert_allclose(centre_of(image, colour, place, 6), place, atol=1)
    blue = (image == (0, 0, 255)).all(axis=-1)
    assert blue.sum() == pytest.approx(width * HEIGHT_PX, rel=0.02)
    assert np.nonzero(blue.any(axis=0))[0][0] == width + 2 * MARGIN_PX


def test_a_fit_without_a_landmarker_is_drawn_without_dots(photograph, tmp_path):
    target = tmp_path / "fit.png"

    draw_fit(photograph, fit(landmarks_68=np.full((68, 2), np.nan, np.float32)), target)

    image = pixels(target)
    assert not (image == DOT).all(axis=-1).any()
    assert (image == MARK).all(axis=-1).any()


def test_a_fit_without_an_overlay_cannot_be_drawn(photograph, tmp_path):
    with pytest.raises(ValueError, match="overlay=True"):
        draw_fit(photograph, fit(overlay=None), tmp_path / "fit.png")


@pytest.mark.parametrize("untrained", [False, True])
def test_a_verification_is_drawn_with_both_photographs_and_says_when_it_means_nothing(
    photograph, tmp_path, untrained
):
    target = tmp_path / "verification.png"
    result = Client(transport=FakeTransport(untrained=untrained)).verify(b"a", b"b")

    draw_verification(photograph, photograph, result, target)

    image = pixels(target)
    assert image.shape[1] == 2 * HEIGHT_PX + 3 * MARGIN_PX
    is_red = (image[..., 0] > 150) & (image[..., 1] < 100) & (image[..., 2] < 100)
    assert is_red.any() == untrained
