# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.avatar.texture import moved_onto_landmarks
from tests.server.avatar.portraits import mean_head, mean_landmarks

SCALE = 1500.0  # pixels in a metre


def in_image(points):
    return points[:, :2] * (SCALE, -SCALE) + 500


VERTICES_PX = np.column_stack([in_image(mean_head()), -mean_head()[:, 2] * SCALE])
LANDMARKS = in_image(mean_landmarks())
EYES_APART = np.linalg.norm(LANDMARKS[45] - LANDMARKS[36])


def test_landmarks_where_they_should_be_move_nothing():
    moved = moved_onto_landmarks(VERTICES_PX, LANDMARKS, LANDMARKS)

    np.testing.assert_allclose(moved, VERTICES_PX, atol=1e-3)


def test_a_common_shift_moves_the_face_with_it_and_depth_stays():
    moved = moved_onto_landmarks(VERTICES_PX, LANDMARKS, np.add(LANDMARKS, (5.0, -3.0)))

    face = np.linalg.norm(mean_head() - mean_landmarks()[33], axis=1) < 0.05
    np.testing.assert_allclose((moved - VERTICES_PX)[face, :2], [(5.0, -3.0)] * face.sum(), atol=1)
    np.testing.assert_array_equal(moved[:, 2], VERTICES_PX[:, 2].astype(np.float32))


def test_one_brow_that_lies_higher_moves_alone():
    found = LANDMARKS.copy()
    found[17:22, 1] -= 0.05 * EYES_APART

    moved = moved_onto_landmarks(VERTICES_PX, LANDMARKS, found) - VERTICES_PX

    distance = np.linalg.norm(VERTICES_PX[:, None, :2] - LANDMARKS[None], axis=-1)
    at_brow, at_mouth = distance[:, 19].argmin(), distance[:, 57].argmin()
    assert moved[at_brow, 1] < -0.03 * EYES_APART
    assert np.abs(moved[at_mouth]).max() < 0.005 * EYES_APART


def test_one_landmark_against_all_its_neighbours_is_not_believed():
    found = LANDMARKS.copy()
    found[33] += (0.2 * EYES_APART, 0)

    moved = moved_onto_landmarks(VERTICES_PX, LANDMARKS, found) - VERTICES_PX

    assert np.abs(moved[:, 0]).max() < 0.08 * EYES_APART


def test_the_shift_grows_with_the_photograph():
    found = LANDMARKS + np.random.default_rng(0).normal(0, 3, LANDMARKS.shape)

    moved = moved_onto_landmarks(VERTICES_PX, LANDMARKS, found)
    doubled = moved_onto_landmarks(2 * VERTICES_PX, 2 * LANDMARKS, 2 * found)

    np.testing.assert_allclose(doubled, 2 * moved, atol=2e-3)


def test_what_is_far_from_the_face_stays():
    far = np.concatenate([VERTICES_PX, [(3000.0, 3000.0, 0.0)]])

    moved = moved_onto_landmarks(far, LANDMARKS, LANDMARKS + 9)

    np.testing.assert_allclose(moved[-1], far[-1], atol=1e-3)


def test_without_a_landmarker_nothing_moves():
    moved = moved_onto_landmarks(VERTICES_PX, LANDMARKS, np.full((68, 2), np.nan))

    np.testing.assert_array_equal(moved, VERTICES_PX.astype(np.float32))


def test_other_numbers_of_landmarks_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        moved_onto_landmarks(VERTICES_PX, LANDMARKS, LANDMARKS[:5])
