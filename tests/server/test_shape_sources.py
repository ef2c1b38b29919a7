# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.rendering import project
from mien_server.shape_sources import refitted_cameras


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_a_camera_makes_up_for_size_and_place(rng):
    before = rng.normal(0, 0.05, (3, 68, 3))
    cameras = np.array([[7.0, 0.01, -0.02], [9.0, 0.0, 0.03], [5.0, -0.02, 0.0]])
    factors, shifts = np.array([0.8, 1.0, 1.3]), rng.normal(0, 0.02, (3, 1, 3))
    after = factors[:, None, None] * before + shifts

    found = refitted_cameras(cameras, before, after)

    np.testing.assert_allclose(
        project(after, found)[..., :2], project(before, cameras)[..., :2], atol=1e-5
    )
    np.testing.assert_allclose(found[:, 0], cameras[:, 0] / factors, rtol=1e-5)


def test_the_same_head_keeps_its_camera(rng):
    points, cameras = rng.normal(0, 0.05, (1, 68, 3)), np.array([[7.0, 0.01, -0.02]])

    np.testing.assert_allclose(refitted_cameras(cameras, points, points), cameras, atol=1e-5)


def test_no_camera_nearby_brings_points_nearer(rng):
    before = rng.normal(0, 0.05, (1, 68, 3))
    after = before + rng.normal(0, 0.005, before.shape)
    cameras = np.array([[7.0, 0.01, -0.02]])
    seen = project(before, cameras)[..., :2].astype(np.float64)

    def distance(camera):
        return np.square(project(after, camera[None])[..., :2] - seen).sum()

    found = refitted_cameras(cameras, before, after)[0].astype(np.float64)

    for step in np.vstack([np.eye(3), -np.eye(3)]) * (0.02, 2e-4, 2e-4):
        assert distance(found) < distance(found + step)


def test_a_head_that_is_inside_out_keeps_the_camera(rng):
    points, cameras = rng.normal(0, 0.05, (1, 68, 3)), np.array([[7.0, 0.01, -0.02]], np.float32)

    np.testing.assert_array_equal(refitted_cameras(cameras, points, -points), cameras)
