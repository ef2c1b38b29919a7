# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mien_server.expression_crop import (
    EXPRESSION_SIZE_PX,
    PLACES_44,
    expression_anchors,
    expression_crop,
    expression_window,
)
from mien_server.warping import inverted, moved

# Mouth corners about the middle of the mouth; the nose tip is not looked at.
LANDMARKS_44 = np.array([PLACES_44[0], PLACES_44[1], (22, 25), (16, 34.5), (28, 33.5)])


def turned(points, angle_deg, scale, shift):
    a = np.deg2rad(angle_deg)
    return scale * points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + shift


@pytest.mark.parametrize(("angle_deg", "scale"), [(0, 1), (25, 3), (-80, 0.7)])
def test_a_face_of_the_places_proportions_lands_on_them_from_anywhere(angle_deg, scale):
    seen = turned(LANDMARKS_44, angle_deg, scale, (40, -7))

    assert_allclose(moved(expression_window(seen), expression_anchors(seen)), PLACES_44, atol=1e-9)


def test_the_nose_tip_moves_nothing():
    other = LANDMARKS_44.copy()
    other[2] += (5, -9)

    assert_array_equal(expression_window(other), expression_window(LANDMARKS_44))


def test_places_grow_with_the_crop():
    large = expression_window(LANDMARKS_44, 2 * EXPRESSION_SIZE_PX)

    assert_allclose(moved(large, PLACES_44), 2 * PLACES_44, atol=1e-9)


def test_marks_at_the_landmarks_are_seen_at_the_places():
    """Pixels, not matrices: bright squares of a dark picture, found by their centres of mass."""
    seen = turned(LANDMARKS_44, 12, 4, (90, 60))
    image = np.zeros((320, 320, 3), np.uint8)
    for x, y in expression_anchors(seen):
        column, row = round(x), round(y)
        image[row - 5 : row + 5, column - 5 : column + 5] = 255
    crop = expression_crop(image, seen)

    assert crop.shape == (44, 44)
    assert crop.dtype == np.uint8
    grid = np.stack(np.meshgrid(np.arange(44) + 0.5, np.arange(44) + 0.5), axis=-1)
    for place in PLACES_44:
        weight = crop * (np.abs(grid - place).max(axis=-1) < 4)
        assert_allclose((grid * weight[..., None]).sum(axis=(0, 1)) / weight.sum(), place, atol=0.2)


def test_grey_is_luma():
    image = np.zeros((60, 60, 3), np.uint8)
    image[:] = (200, 100, 50)

    crop = expression_crop(image, LANDMARKS_44 + 8)

    assert_allclose(crop, 0.299 * 200 + 0.587 * 100 + 0.114 * 50, atol=1)


def test_the_window_is_a_similarity_without_reflection():
    stretched = LANDMARKS_44 * (1.3, 0.9)
    linear = expression_window(stretched)[:, :2]

    assert_allclose(linear @ linear.T, np.linalg.det(linear) * np.eye(2), atol=1e-9)
    assert np.linalg.det(linear) > 0
    there_and_back = inverted(expression_window(stretched))
    assert_allclose(
        moved(there_and_back, moved(expression_window(stretched), stretched)), stretched
    )


def test_other_numbers_of_points_are_refused():
    with pytest.raises(ValueError, match=r"\(68, 2\); expected \(5, 2\)"):
        expression_window(np.zeros((68, 2)))
