# SPDX-License-Identifier: Apache-2.0
import math

import cv2
import numpy as np
import pytest

from mien_server.warping import inverted, moved, square, warped


@pytest.mark.parametrize("seed", range(20))
def test_a_window_and_the_way_back_cancel(seed):
    generator = np.random.default_rng(seed)
    window = square(
        generator.uniform(-500, 5000, 2), generator.uniform(5, 4000), generator.uniform(-4, 4), 224
    )
    points = generator.uniform(-2000, 6000, (50, 2))

    np.testing.assert_allclose(moved(inverted(window), moved(window, points)), points, atol=1e-6)


@pytest.mark.parametrize("angle_deg", [-170, -45, 0, 30, 90])
def test_a_window_shows_its_square_with_the_upper_edge_horizontal(angle_deg):
    angle = math.radians(angle_deg)
    along = np.array([math.cos(angle), math.sin(angle)])
    down = np.array([-along[1], along[0]])
    centre, side = np.array([70.0, 40.0]), 30.0
    corners = [
        centre + side / 2 * (x * along + y * down) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]

    shown = moved(square(centre, side, angle, 128), np.array(corners))

    np.testing.assert_allclose(shown, [(0, 0), (128, 0), (128, 128), (0, 128)], atol=1e-9)


def test_the_window_of_the_whole_image_is_the_image():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    shown = warped(image, square(np.array([32, 32]), 64, 0, 64), 64)

    np.testing.assert_array_equal(shown, image)


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_shrinking_window_averages_the_pixels_it_covers(factor):
    image = np.random.default_rng(1).integers(0, 256, (40 * factor, 40 * factor, 3), dtype=np.uint8)

    shown = warped(image, square(np.array([20, 20]) * factor, 40 * factor, 0, 40), 40)

    blocks = image.reshape(40, factor, 40, factor, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(shown, blocks, atol=0.51)


@pytest.mark.parametrize("side", [12.0, 90.0, 200.0, 451.0, 2600.0])
@pytest.mark.parametrize("angle_deg", [0, 25, -70])
def test_a_disc_appears_where_the_transform_says(side, angle_deg):
    """Independent of how the pixels were sampled: the centre of mass of what is shown."""
    image = np.zeros((900, 1200, 3), np.uint8)
    centre = np.array([640.0, 410.0])
    window = square(centre + side / 10, side, math.radians(angle_deg), 128)
    # OpenCV draws about the centre of a pixel, in fractions of 1/16.
    at = tuple(int(value) for value in (centre - 0.5) * 16)
    cv2.circle(image, at, round(side / 8 * 16), (255, 255, 255), -1, cv2.LINE_AA, 4)

    shown = warped(image, window, 128)[:, :, 0].astype(float)

    rows, columns = np.indices(shown.shape) + 0.5
    found = np.array([(columns * shown).sum(), (rows * shown).sum()]) / shown.sum()
    np.testing.assert_allclose(found, moved(window, centre), atol=0.3 * max(1, 128 / side / 8))


def test_outside_the_image_is_black():
    white = np.full((50, 50, 3), 255, np.uint8)

    near = warped(white, square(np.array([50, 25]), 50, 0, 128), 128)
    far = warped(white, square(np.array([9000, 25]), 500, 0, 128), 128)

    assert (near[2:-2, 2:62] == 255).all()
    assert (near[:, 66:] == 0).all()
    assert (far == 0).all()
