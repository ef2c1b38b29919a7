# SPDX-License-Identifier: Apache-2.0
"""Where the landmarks of the shipped head lie, in iBUG's order."""

import numpy as np
import pytest

from mien_starter.mirroring import LANDMARKS_68

CONTOUR = slice(0, 17)


@pytest.fixture(scope="module")
def landmarks(head_file) -> np.ndarray:
    """(68, 3) on the mean head, metres."""
    return located(head_file, "full", 0)


def located(head_file, kind, row) -> np.ndarray:
    corners = head_file["v_template"][head_file["f"][head_file[f"{kind}_lmk_faces_idx"][row]]]
    return np.einsum("lk,lkc->lc", head_file[f"{kind}_lmk_bary_coords"][row], corners)


def vertices_of(head_file, *islands) -> np.ndarray:
    return np.unique(head_file["f"][np.isin(head_file["island"], islands)])


def test_barycentric_coordinates_are_inside_their_triangles(head_file):
    for kind in ("static", "dynamic", "full"):
        bary = head_file[f"{kind}_lmk_bary_coords"]
        assert bary.min() >= 0
        np.testing.assert_allclose(bary.sum(axis=-1), 1, atol=1e-6)


def test_the_full_embedding_is_the_frontal_contour_and_the_fixed_ones(head_file, landmarks):
    frontal, fixed = located(head_file, "dynamic", 0), located(head_file, "static", slice(None))

    np.testing.assert_array_equal(landmarks, np.concatenate([frontal, fixed]))


def test_the_nose_tip_is_the_foremost_point_of_the_skin(head_file, landmarks):
    skin = head_file["v_template"][vertices_of(head_file, "skin")]
    middle = skin[np.abs(skin[:, 0]) < 0.01]

    assert landmarks[:, 2].argmax() in (30, 33)
    assert np.linalg.norm(landmarks[30] - middle[middle[:, 2].argmax()]) < 5e-3
    assert abs(landmarks[30, 0]) < 0.1e-3


def test_landmarks_of_the_eyes_lie_on_the_rims_of_the_lids(head_file, landmarks):
    rim = np.intersect1d(
        vertices_of(head_file, "skin"), vertices_of(head_file, "socket_left", "socket_right")
    )
    points = head_file["v_template"][rim]
    distance = np.linalg.norm(landmarks[36:48, None] - points, axis=2).min(axis=1)

    assert distance.max() < 1e-6
    # Corners are the ends of each eye, and the upper lids are above the lower ones.
    for eye in (landmarks[36:42], landmarks[42:48]):
        assert eye[:, 0].argmin() == 0
        assert eye[:, 0].argmax() == 3
        assert eye[1:3, 1].min() > eye[4:6, 1].max()


def test_corners_of_the_mouth_are_the_widest_points_of_the_lips(landmarks):
    mouth = landmarks[48:68]

    assert mouth[:, 0].argmin() == 0
    assert mouth[:, 0].argmax() == 6
    assert mouth[12:, 0].argmin() == 0
    assert mouth[12:, 0].argmax() == 4
    # Top of the upper lip, its lower edge, upper edge of the lower lip, its bottom.
    assert (np.diff(landmarks[[51, 62, 66, 57], 1]) < 1e-4).all()


def test_pairs_of_landmarks_mirror_each_other(landmarks):
    mirrored = landmarks[LANDMARKS_68] * [-1, 1, 1]

    np.testing.assert_allclose(mirrored[17:], landmarks[17:], atol=0.7e-3)
    np.testing.assert_allclose(mirrored[CONTOUR], landmarks[CONTOUR], atol=2e-3)


def test_the_contour_runs_from_ear_to_ear_by_way_of_the_chin(landmarks):
    contour = landmarks[CONTOUR]

    assert (np.diff(contour[:, 0]) > 0).all()
    assert contour[:, 1].argmin() == 8
    assert contour[8, 1] < landmarks[48:68, 1].min()


@pytest.mark.parametrize("yaw_deg", [-39, -30, -10, 10, 30, 39])
def test_the_contour_of_a_turned_head_is_its_outline_on_the_far_side(head_file, yaw_deg):
    yaw = np.deg2rad(yaw_deg)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    far = slice(11, 17) if yaw_deg > 0 else slice(0, 6)
    row = yaw_deg if yaw_deg >= 0 else 39 - yaw_deg
    contour = located(head_file, "dynamic", row)[far]
    outwards = np.array([np.sign(yaw_deg), 0, 0]) @ turn
    face = head_file["v_template"][head_file["region_face"]]

    for point in contour:
        beside = face[np.abs(face[:, 1] - point[1]) < 3e-3]
        assert (beside @ outwards).max() < point @ outwards + 1.5e-3
    # On the head itself the far side moves towards the nose.
    frontal = located(head_file, "dynamic", 0)[far]
    assert np.abs(contour[:, 0]).mean() < np.abs(frontal[:, 0]).mean() - 1.5e-3


def test_contours_of_opposite_yaws_mirror_each_other(head_file):
    for yaw_deg in (5, 20, 39):
        ours = located(head_file, "dynamic", yaw_deg)
        theirs = located(head_file, "dynamic", 39 + yaw_deg)[::-1] * [-1, 1, 1]
        np.testing.assert_allclose(ours, theirs, atol=4e-3)
