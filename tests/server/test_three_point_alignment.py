# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.alignment import ARCFACE_112, template
from mien_server.three_point_alignment import (
    ALIGNED_PX,
    THREE_POINTS_250,
    crop_by_three_points,
    crop_from_image_by_three_points,
    three_points,
)

from .test_alignment import apply, planted_similarity


def test_the_template_is_that_of_five_points_scaled_with_the_mouth_between_its_corners():
    np.testing.assert_allclose(THREE_POINTS_250[:2], template(112)[:2] * 250 / 112)
    np.testing.assert_allclose(
        THREE_POINTS_250[2], (template(112)[3] + template(112)[4]) / 2 * 250 / 112
    )
    left, right, mouth = THREE_POINTS_250
    assert left[0] < mouth[0] < right[0]
    assert max(left[1], right[1]) < mouth[1] < ALIGNED_PX - 13, "all points are in the crop"


@pytest.mark.parametrize("size", [250, 224])
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_similarity_is_recovered_and_its_points_land_on_the_template(seed, size):
    """The face is where the inverse of a planted similarity puts the template."""
    planted = planted_similarity(seed)
    inverse = np.linalg.inv(np.vstack([planted, [0, 0, 1]]))[:2]
    points = apply(inverse, THREE_POINTS_250)
    corner = (250 - size) / 2

    found = crop_from_image_by_three_points(points, size)

    np.testing.assert_allclose(found[:, :2], planted[:, :2], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], planted[:, 2] - corner, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(apply(found, points), THREE_POINTS_250 - corner, atol=1e-7)


def test_points_that_no_similarity_maps_miss_by_as_little_as_any():
    """Least squares: moving, turning or scaling the result further makes it worse."""
    points = THREE_POINTS_250 + np.array([[3.0, -2.0], [-4.0, 1.0], [2.0, 6.0]])
    best = crop_from_image_by_three_points(points, 250)

    def error(transform):
        return ((apply(transform, points) - THREE_POINTS_250) ** 2).sum()

    cosine, sine = np.cos(0.01), np.sin(0.01)
    moves = [np.eye(2) * 1.01, np.eye(2) * 0.99]
    moves += [np.array([[cosine, -s], [s, cosine]]) for s in (sine, -sine)]
    others = [move @ best for move in moves]
    others += [
        best + np.array([[0, 0, x], [0, 0, y]]) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    assert all(error(other) > error(best) for other in others)


def test_three_of_five_points_are_the_eyes_and_between_the_mouth_corners():
    landmarks = np.array([[10.0, 20], [50, 22], [30, 40], [14, 60], [44, 64]])

    np.testing.assert_array_equal(three_points(landmarks), [[10, 20], [50, 22], [29, 62]])


def test_the_nose_does_not_count():
    moved = ARCFACE_112 + np.array([[0, 0], [0, 0], [9, 9], [0, 0], [0, 0]])

    np.testing.assert_array_equal(three_points(moved), three_points(ARCFACE_112))


def test_an_aligned_image_stays_what_it_is_and_testing_sees_its_middle():
    image = np.random.default_rng(0).integers(0, 256, (250, 250, 3), dtype=np.uint8)

    whole = crop_by_three_points(image, THREE_POINTS_250, 250)
    middle = crop_by_three_points(image, THREE_POINTS_250)

    np.testing.assert_array_equal(whole, image.transpose(2, 0, 1))
    np.testing.assert_array_equal(middle, whole[:, 13:237, 13:237])


def test_a_crop_is_black_outside_the_image():
    white = np.full((250, 250, 3), 255, np.uint8)

    crop = crop_by_three_points(white, THREE_POINTS_250 + np.array([100, 0]))

    assert (crop[:, :, -87:] == 0).all()
    assert (crop[:, :, :130] == 255).all()


@pytest.mark.parametrize("size", [0, -2, 223, 252])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match="even and at most 250"):
        crop_from_image_by_three_points(THREE_POINTS_250, size)


@pytest.mark.parametrize("points", [ARCFACE_112, np.full((3, 2), np.nan)], ids=["five", "nan"])
def test_other_points_are_refused(points):
    with pytest.raises(ValueError, match=r"must be \(3, 2\) and finite"):
        crop_from_image_by_three_points(points)


def test_points_that_coincide_and_landmarks_that_are_not_five_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        crop_from_image_by_three_points(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"must be \(5, 2\)"):
        three_points(THREE_POINTS_250)
