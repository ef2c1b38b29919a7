# SPDX-License-Identifier: Apache-2.0
"""Errors are planted, so every figure is known before it is measured."""

import numpy as np
import pytest

from mien_starter.evaluation.heads import head_figures
from mien_starter.evaluation.landmarks import landmark_errors, landmark_figures
from mien_starter.evaluation.meshes import mesh_error_mm, rigidly_aligned
from mien_starter.evaluation.poses import pose_errors_deg
from mien_starter.evaluation.verification import verification_figures
from tests.export.small_heads import make_head
from tests.starter.fake_world import FACE_68


def rotation(axis, angle_deg):
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    a = np.deg2rad(angle_deg)
    return np.eye(3) + np.sin(a) * cross + (1 - np.cos(a)) * cross @ cross


def mesh(seed=0, count=400):
    return np.random.default_rng(seed).normal(0, 0.06, (count, 3))


EVERYTHING = np.ones(400, bool)


def test_a_mesh_that_is_only_turned_and_shifted_has_no_error():
    truth = mesh()
    moved = truth @ rotation((1, 2, 3), 70).T + (0.1, -0.3, 2.0)

    assert mesh_error_mm(moved, truth, EVERYTHING) < 1e-9
    np.testing.assert_allclose(rigidly_aligned(moved, truth, EVERYTHING), truth, atol=1e-12)


def test_two_vertices_off_by_a_millimetre_are_two_millimetres_over_all_vertices():
    half = mesh(count=200)
    truth = np.concatenate([half, -half])
    moved = truth.copy()
    # Outwards on opposite sides: no turn and no shift takes anything of it away.
    outwards = half[7] / np.linalg.norm(half[7])
    moved[7] += 0.001 * outwards
    moved[207] -= 0.001 * outwards

    assert mesh_error_mm(moved, truth, EVERYTHING) == pytest.approx(2 / 400)


def test_vertices_outside_the_face_do_not_count():
    truth = mesh()
    moved = truth.copy()
    moved[7, 1] += 0.1
    face = np.arange(400) != 7

    assert mesh_error_mm(moved, truth, face) < 1e-9
    assert mesh_error_mm(moved, truth, EVERYTHING) > 0.2


def test_neither_size_nor_a_mirror_is_forgiven():
    truth = mesh() - mesh().mean(axis=0)

    expected = 0.1 * np.linalg.norm(truth, axis=1).mean() * 1000
    assert mesh_error_mm(1.1 * truth, truth, EVERYTHING) == pytest.approx(expected)
    assert mesh_error_mm(truth * (-1, 1, 1), truth, EVERYTHING) > 10


def test_size_is_forgiven_where_asked_and_a_mirror_never():
    truth = mesh()
    moved = 1.3 * truth @ rotation((1, 2, 3), 70).T + (0.1, -0.3, 2.0)

    assert mesh_error_mm(moved, truth, EVERYTHING, scaled=True) < 1e-9
    assert mesh_error_mm(truth * (-1, 1, 1), truth, EVERYTHING, scaled=True) > 10
    noisy = truth + np.random.default_rng(1).normal(0, 0.002, truth.shape)
    forgiven = mesh_error_mm(noisy, truth, EVERYTHING, scaled=True)
    assert 0.95 < forgiven / mesh_error_mm(noisy, truth, EVERYTHING) < 1.001


def test_the_mean_head_is_as_far_off_as_a_prediction_of_zeros():
    head = make_head()
    true_shape = np.random.default_rng(0).normal(0, 1, (5, 300))

    zeros = head_figures(head, np.zeros((5, 100)), true_shape)
    truth = head_figures(head, true_shape, true_shape)

    assert zeros["ratio_to_mean_head"] == 1
    assert zeros["mean_head_mm_mean"] == truth["mean_head_mm_mean"] > 1
    assert truth["mesh_mm_mean"] < 1e-9


def test_the_expression_is_compared_where_it_is_given():
    head = make_head()
    rng = np.random.default_rng(0)
    shape, expression = rng.normal(0, 1, (4, 300)), rng.normal(0, 1, (4, 100))

    right = head_figures(head, shape, shape, expression, expression)
    wrong = head_figures(head, shape, shape, 0 * expression, expression)

    assert right["mesh_mm_mean"] < 1e-9
    assert wrong["mesh_mm_mean"] > 1


@pytest.mark.parametrize("angle_deg", [0.0, 1e-6, 4.0, 90.0, 179.0])
def test_pose_errors_are_the_angle_that_was_added(angle_deg):
    axis = np.array([1.0, -2.0, 0.5])
    axis /= np.linalg.norm(axis)
    start = 0.7 * axis  # turning on about the same axis adds angles
    turned = start + np.deg2rad(angle_deg) * axis

    assert pose_errors_deg(turned[None], start[None])[0] == pytest.approx(angle_deg, abs=1e-5)


def test_a_full_turn_is_no_error_and_different_axes_combine():
    x, y = np.array([[np.pi / 2, 0, 0]]), np.array([[0, np.pi / 2, 0]])

    assert pose_errors_deg(x + np.array([[2 * np.pi, 0, 0]]), x)[0] == pytest.approx(0, abs=1e-5)
    assert pose_errors_deg(x, y)[0] == pytest.approx(120)  # about the diagonal
    np.testing.assert_array_equal(pose_errors_deg(x, y), pose_errors_deg(y, x))


def test_landmark_errors_are_in_distances_between_the_eyes_at_any_size():
    truth = np.stack([FACE_68 * 100, FACE_68 * 7 + 3])
    eyes = np.linalg.norm(truth[:, 45] - truth[:, 36], axis=1)
    found = truth + (0.03 * eyes)[:, None, None] * np.array([0.6, 0.8])

    np.testing.assert_allclose(landmark_errors(found, truth, truth), [0.03, 0.03])


def test_landmark_figures_count_failures_above_eight_percent():
    figures = landmark_figures(np.array([0.01] * 8 + [0.079, 0.2]))

    assert figures.mean == pytest.approx(0.0359)
    assert figures.failure_rate == pytest.approx(0.1)
    assert 0.079 <= figures.percentile_90 <= 0.2


def test_people_in_directions_of_their_own_are_never_mistaken():
    identities = np.repeat(np.arange(1000, 1020), 3)
    embeddings = np.eye(20, dtype=np.float32)[identities - 1000]

    figures = verification_figures(embeddings, identities)

    assert figures.mated_pairs == 60
    assert figures.nonmated_pairs == 60 * 59 // 2 - 60
    assert figures.fnmr_at_fmr_1e3 == figures.equal_error_rate == 0


def test_a_person_with_two_faces_does_not_match_half_of_the_time():
    identities = np.repeat(np.arange(10), 4)
    directions = np.arange(40) // 2  # two photographs of everybody look like somebody else's
    embeddings = np.eye(20, dtype=np.float32)[directions]

    figures = verification_figures(embeddings, identities)

    assert figures.fnmr_at_fmr_1e3 == pytest.approx(4 / 6)  # of six pairs, the four mixed ones
