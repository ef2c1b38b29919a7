# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.deca_crop import deca_window_from_box, deca_window_from_landmarks
from mien_server.warping import inverted, moved


def corners_in_image(window):
    """Centres of the crop's corner pixels, which DECA's rule puts onto the square's corners."""
    return moved(inverted(window), np.array([(0.5, 0.5), (0.5, 223.5), (223.5, 0.5)]))


def test_the_square_about_landmarks_has_decas_size():
    # 100 x 120: old size 110 * 1.1 = 121, size int(121 * 1.25) = 151, centre (150, 160).
    landmarks = np.array([(100, 100), (200, 130), (140, 220), (150, 150)] * 17)

    corners = corners_in_image(deca_window_from_landmarks(landmarks))

    half = 151 / 2
    expected = [(150 - half, 160 - half), (150 - half, 160 + half), (150 + half, 160 - half)]
    np.testing.assert_allclose(corners, expected, atol=1e-9)


def test_the_square_about_a_box_is_moved_down():
    # 80 x 100: old size 90, size int(112.5) = 112, centre (140, 150 + 0.12 * 90).
    corners = corners_in_image(deca_window_from_box(np.array([100, 100, 180, 200])))

    np.testing.assert_allclose(
        corners, [(84, 160.8 - 56), (84, 160.8 + 56), (196, 160.8 - 56)], atol=1e-9
    )


def test_the_middle_of_the_square_is_the_middle_of_the_crop():
    landmarks = np.random.default_rng(0).uniform(50, 300, (68, 2))
    middle = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2

    np.testing.assert_allclose(moved(deca_window_from_landmarks(landmarks), middle), (112, 112))


@pytest.mark.parametrize("extent", [0.0, 0.3])
def test_a_face_of_no_size_still_has_a_window(extent):
    landmarks = np.full((68, 2), 7.0)
    landmarks[0] += extent

    window = deca_window_from_landmarks(landmarks)

    assert np.isfinite(window).all()
    assert np.isfinite(inverted(window)).all()
