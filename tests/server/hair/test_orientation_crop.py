# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from mien_server.hair.portrait_crop import (
    CROWN_XY,
    PORTRAIT_SIZE_PX,
    in_photograph,
    portrait_window_from_box,
    portrait_window_from_landmarks,
    twice_as_large,
)
from mien_server.warping import inverted, moved, warped

HEAD = Path(__file__).parents[3] / "starter" / "weights" / "head.npz"


def face(angle_deg=0.0, scale=100.0, centre=(300.0, 200.0)):
    """(68, 2) landmarks with a box of 2 x 1.8 and level eyes, turned clockwise on screen."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.8, 0.8, (68, 2))
    points[:4] = [(-1, 0), (1, 0), (0, -0.9), (0, 0.9)]
    points[36:42], points[42:48] = (-0.4, -0.3), (0.4, -0.3)
    angle = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + centre


def test_the_square_is_3_4_times_the_faces_size_about_its_middle():
    window = portrait_window_from_landmarks(face())
    corners = moved(inverted(window), np.array([(0, 0), (256, 256)]))

    half = 3.4 * (200 + 180) / 2 / 2
    np.testing.assert_allclose(corners, [(300 - half, 200 - half), (300 + half, 200 + half)])


@pytest.mark.parametrize("angle_deg", [-40, 15, 90])
def test_a_tilted_head_stands_upright_in_the_same_crop(angle_deg):
    tilted, upright = face(angle_deg), face()
    shown = moved(portrait_window_from_landmarks(tilted), tilted)

    np.testing.assert_allclose(
        shown, moved(portrait_window_from_landmarks(upright), upright), atol=1e-6
    )


def test_size_and_place_of_a_face_do_not_count():
    small, large = face(scale=31.0, centre=(40.0, 90.0)), face(scale=400.0)

    np.testing.assert_allclose(
        moved(portrait_window_from_landmarks(small), small),
        moved(portrait_window_from_landmarks(large), large),
        atol=1e-6,
    )


def test_the_mean_head_fits_with_room_for_hair_and_its_crown_is_where_it_is_said_to_be():
    with np.load(HEAD) as head:
        vertices = head["v_template"]
        corners = vertices[head["f"][head["full_lmk_faces_idx"][0]]]
        landmarks = (corners * head["full_lmk_bary_coords"][0][..., None]).sum(axis=1)
    window = portrait_window_from_landmarks(landmarks[:, :2] * (1, -1))
    shown = moved(window, vertices[:, :2] * (1, -1))

    assert shown[:, 0].min() > 60
    assert shown[:, 1].min() > 25
    assert shown[:, 1].max() < 215
    np.testing.assert_allclose(shown[shown[:, 1].argmin()], CROWN_XY, atol=4)


def test_the_larger_crop_shows_the_same_in_twice_as_many_pixels():
    points = face(30)
    window = portrait_window_from_landmarks(points)

    np.testing.assert_allclose(moved(twice_as_large(window), points), 2 * moved(window, points))


def test_a_box_shows_what_landmarks_would():
    """A box is 1.1 times as large as the landmarks, and 0.12 of itself too high."""
    points = face()
    low, high = points.min(axis=0), points.max(axis=0)
    size = float((high - low).mean()) * 1.1
    middle = (low + high) / 2 - (0, 0.12 * size)

    np.testing.assert_allclose(
        portrait_window_from_box(np.concatenate([middle - size / 2, middle + size / 2])),
        portrait_window_from_landmarks(points),
    )


def test_what_is_found_in_a_crop_lands_where_it_was_seen():
    """A spot of the photograph, seen in the crop, put back."""
    photograph = np.zeros((400, 600, 3), np.uint8)
    photograph[150:190, 280:340] = 255
    window = portrait_window_from_landmarks(face(20, scale=60))
    crop = warped(photograph, window, PORTRAIT_SIZE_PX)
    back = in_photograph(crop[..., 0] / np.float32(255), window, 400, 600)

    off = np.abs(back - photograph[..., 0] / 255)
    assert off[155:185, 285:335].max() < 0.01
    assert off.mean() < 0.002
    outside = moved(window, np.array([(599.5, 399.5)]))
    assert outside.max() > PORTRAIT_SIZE_PX
    assert back[-1, -1] == 0


def test_faces_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"must be \(68, 2\)"):
        portrait_window_from_landmarks(face()[:5])
    with pytest.raises(ValueError, match="no size"):
        portrait_window_from_landmarks(np.zeros((68, 2)))
    with pytest.raises(ValueError, match="no size"):
        portrait_window_from_box(np.array([5.0, 5, 5, 5]))
    with pytest.raises(ValueError, match=r"must be \(4,\)"):
        portrait_window_from_box(np.zeros(5))
