# SPDX-License-Identifier: Apache-2.0
import math

import cv2
import numpy as np
import pytest

from mien_server.alignment import template
from mien_server.warping import moved, warped
from mien_starter.crops import (
    ALIGNED_SIZE_PX,
    DECA_SIZE_PX,
    LOOSE_SIZE_PX,
    aligned_crop,
    camera_in_crop,
    deca_window,
    jittered_points,
    loose_window,
    window_without_face,
)
from mien_starter.mirroring import LANDMARKS_5, LANDMARKS_68, mirrored_image, mirrored_points
from tests.starter.fake_world import FACE_5, FACE_68, FakeWorld

SEEDS = range(200)


def project(vertices, camera, size):
    """Pixels by DECA's camera, written out (networks.md 4.5)."""
    s, tx, ty = camera
    x, y = s * (vertices[:, 0] + tx), -s * (vertices[:, 1] + ty)
    return (np.stack([x, y], axis=1) * 0.5 + 0.5) * size


def face(width=120, roll_deg=20.0, centre=(140, 120)):
    a = math.radians(roll_deg)
    linear = width * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    return FACE_68 @ linear.T + centre, FACE_5 @ linear.T + centre


@pytest.mark.parametrize("seed", range(20))
def test_the_crops_camera_puts_vertices_where_the_crop_shows_them(seed):
    rng = np.random.default_rng(seed)
    vertices, camera = rng.normal(0, 0.08, (500, 3)), rng.normal((9, 0, 0), (1, 0.02, 0.02))
    window = deca_window(face(roll_deg=rng.uniform(-30, 30))[0], rng)

    moved_camera = camera_in_crop(camera, window, 256, DECA_SIZE_PX)

    in_crop = moved(window, project(vertices, camera, 256))
    np.testing.assert_allclose(project(vertices, moved_camera, DECA_SIZE_PX), in_crop, atol=1e-9)


def test_decas_window_is_exactly_its_rule_without_jitter_and_never_turned():
    points, _ = face(roll_deg=30)
    low, high = points.min(axis=0), points.max(axis=0)
    side = int((high - low).sum() / 2 * 1.1 * 1.25)

    exact = deca_window(points)

    corners = np.array([(low + high) / 2 - side / 2, (low + high) / 2 + side / 2])
    np.testing.assert_allclose(moved(exact, corners), [(0.5, 0.5), (223.5, 223.5)])
    jittered = np.array([deca_window(points, np.random.default_rng(seed)) for seed in SEEDS])
    assert np.abs(jittered[:, 0, 1]).max() == np.abs(jittered[:, 1, 0]).max() == 0
    ratio = jittered[:, 0, 0] / exact[0, 0]
    assert math.exp(-0.08) <= ratio.min() < 0.95 < 1.05 < ratio.max() <= math.exp(0.08)


def test_a_turned_window_has_no_camera():
    with pytest.raises(ValueError, match="turns or stretches"):
        camera_in_crop(np.array([9, 0, 0]), loose_window(face()[0], rng_of(1)), 256, 128)


def rng_of(seed):
    return np.random.default_rng(seed)


def test_loose_windows_have_the_sides_shifts_and_turns_they_should():
    points, _ = face()
    low, high = points.min(axis=0), points.max(axis=0)
    windows = [loose_window(points, rng_of(seed)) for seed in range(2000)]

    sides = np.array([LOOSE_SIZE_PX / math.hypot(*w[:, 0]) for w in windows]) / (high - low).max()
    shifts = np.array([moved(w, (low + high) / 2) for w in windows]) - LOOSE_SIZE_PX / 2
    in_crop = [moved(w, points) for w in windows]
    rolls = [math.degrees(math.atan2(*(p[45] - p[36])[::-1])) for p in in_crop]

    assert 1.2 <= sides.min() < 1.25 < 2.15 < sides.max() <= 2.2
    assert 0.2 < np.abs(shifts).max() / LOOSE_SIZE_PX <= 0.18 * math.sqrt(2)  # along either side
    assert 40 < np.abs(rolls).max() <= 46
    assert np.median(np.abs(rolls)) < 9  # mostly nearly upright, whatever the photograph's roll


def test_windows_without_a_face_miss_it():
    points, _ = face()
    face_area = np.zeros((256, 256, 3), np.uint8)
    low, high = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
    face_area[low[1] : high[1], low[0] : high[0]] = 255

    for seed in SEEDS:
        window = window_without_face(256, points, rng_of(seed))
        side = LOOSE_SIZE_PX / math.hypot(*window[:, 0])
        shown = warped(face_area, window, LOOSE_SIZE_PX).mean() / 255 * side**2
        union = side**2 + np.prod(high - low) - shown
        assert shown / union < 0.14  # a turned square covers a little more than an upright one


def test_aligned_crops_put_the_landmarks_on_the_template():
    _, points = face(width=100, roll_deg=25)
    image = np.zeros((256, 256, 3), np.uint8)
    for x, y in points:
        cv2.circle(
            image, (round(x * 16), round(y * 16)), 5 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4
        )

    crop = aligned_crop(image, points)

    assert crop.shape == (ALIGNED_SIZE_PX, ALIGNED_SIZE_PX, 3)
    _, _, _, blobs = cv2.connectedComponentsWithStats((crop[..., 0] > 127).astype(np.uint8))
    blobs = blobs[1:]
    distance = np.linalg.norm(blobs[:, None] - template(112)[None], axis=2)
    assert distance.min(axis=0).max() < 4  # the fake face is not quite ArcFace's


def test_jittered_landmarks_are_unbiased_and_about_as_wrong_as_a_landmarker():
    _, points = face(width=100, roll_deg=-10)
    found = np.array([jittered_points(points, rng_of(seed)) for seed in range(4000)])

    unit = np.linalg.norm(points[1] - points[0])
    assert np.abs(found.mean(axis=0) - points).max() / unit < 0.01
    assert 0.03 < np.linalg.norm(found - points, axis=2).mean() / unit < 0.08


def test_mirroring_twice_changes_nothing():
    image = FakeWorld(64).photograph(1, 1).image_rgb
    points, _ = face()

    np.testing.assert_array_equal(mirrored_image(mirrored_image(image)), image)
    np.testing.assert_allclose(mirrored_points(mirrored_points(points, 256), 256), points)
    for order in (LANDMARKS_5, LANDMARKS_68):
        np.testing.assert_array_equal(order[order], np.arange(len(order)))


def test_a_mirrored_face_has_the_landmarks_of_a_face():
    points_68, points_5 = face(roll_deg=17)
    expected_68, expected_5 = face(roll_deg=-17, centre=(256 - 140, 120))

    # The fake face is symmetric, so its mirror image is itself, turned the other way.
    np.testing.assert_allclose(mirrored_points(points_68, 256), expected_68, atol=1e-9)
    np.testing.assert_allclose(mirrored_points(points_5, 256), expected_5, atol=1e-9)


def test_mirrored_points_lie_on_what_they_lay_on():
    photograph = FakeWorld(128).photograph(3, 4)
    points = photograph.landmarks + 0.5

    image, mirrored = mirrored_image(photograph.image_rgb), mirrored_points(points, 128)

    def colours(picture, places):
        return np.array([picture[int(y), int(x)] for x, y in places])

    np.testing.assert_array_equal(
        colours(image, mirrored)[LANDMARKS_5], colours(photograph.image_rgb, points)
    )
