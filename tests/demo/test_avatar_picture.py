# SPDX-License-Identifier: Apache-2.0
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from demo.avatar_picture import draw_avatar
from demo.rows import EDGE_PX, GAP_PX, SIDE_PX, TITLE_PX
from mien import Client, Face, FakeTransport

FACE = Face((150.0, 120.0, 200.0, 170.0), np.zeros((5, 2), np.float32))
VIEWS = ((9, 0, 0), (0, 90, 0), (0, 0, 190), (9, 9, 9), (200, 200, 0))  # of a preview
PHOTOGRAPH, SKY = (60, 60, 60), (200, 220, 255)


def preview(*colours):
    """PNG of squares of these colours."""
    strip = Image.new("RGB", (len(colours) * 20, 20))
    for number, colour in enumerate(colours):
        strip.paste(colour, (number * 20, 0, number * 20 + 20, 20))
    buffer = io.BytesIO()
    strip.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photograph(tmp_path):
    """Sky above, and below from where the face's box begins, the rest."""
    path = tmp_path / "photograph.png"
    image = Image.new("RGB", (400, 300), PHOTOGRAPH)
    image.paste(SKY, (0, 0, 400, 120))
    image.save(path)
    return path


def drawn(photograph, tmp_path, **transport):
    avatar = Client(transport=FakeTransport(**transport)).avatar(b"me")
    avatar = replace(avatar, turntable=preview(*VIEWS))
    moods = {"anger": preview(*VIEWS[:2], (250, 0, 0), *VIEWS[3:]), "fear": preview(*VIEWS)}
    hair = {"Bob": preview(VIEWS[0], (0, 200, 200), *VIEWS[2:])}
    target = tmp_path / "avatar.png"
    draw_avatar(photograph, FACE, avatar, moods, hair, target)
    return np.asarray(Image.open(target)).astype(int)


def panel(image, row, column):
    row_px = (image.shape[0] - EDGE_PX) // 3
    top, left = row * row_px + TITLE_PX, EDGE_PX + column * (SIDE_PX + GAP_PX)
    return image[top : top + SIDE_PX, left : left + SIDE_PX]


def test_each_side_mood_and_hairstyle_has_its_place(photograph, tmp_path):
    image = drawn(photograph, tmp_path)

    expected = {
        (0, 1): VIEWS[2], (0, 2): VIEWS[1], (0, 3): VIEWS[4],
        (1, 0): (250, 0, 0), (1, 1): VIEWS[2], (2, 0): (0, 200, 200),
    }  # fmt: skip
    for place, colour in expected.items():
        inner = panel(image, *place)[SIDE_PX // 8 : -SIDE_PX // 8, SIDE_PX // 8 : -SIDE_PX // 8]
        np.testing.assert_allclose(inner, np.broadcast_to(colour, inner.shape), atol=1)


def test_the_photograph_is_shown_about_the_face_with_room_for_hair(photograph, tmp_path):
    shown = panel(drawn(photograph, tmp_path), 0, 0)

    # 120 pixels round a face of 50: 50 of them above the box, 0.3 faces more than below.
    middle = shown[:, SIDE_PX // 2, 2]
    assert (middle > 150).sum() / SIDE_PX == pytest.approx(50 / 120, abs=0.02)
    np.testing.assert_array_equal(shown[-40, SIDE_PX // 2], PHOTOGRAPH)


@pytest.mark.parametrize("untrained", [False, True])
def test_it_says_when_the_head_means_nothing(photograph, tmp_path, untrained):
    figures = panel(drawn(photograph, tmp_path, untrained=untrained), 2, 1)

    is_red = (figures[..., 0] > 150) & (figures[..., 1] < 100) & (figures[..., 2] < 100)
    assert is_red.any() == untrained
