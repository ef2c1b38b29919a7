# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.frames import frames_along, outward, tangents
from tests.server.hair.planted_hair import hair_on, mean_head

MIDDLE = np.array([0, 0.04, -0.015])


def helix(count=200, radius=0.006, turns=8, length=0.2):
    angle = np.linspace(0, 2 * np.pi * turns, count)
    return np.column_stack(
        [0.1 + radius * np.cos(angle), -length * np.linspace(0, 1, count), radius * np.sin(angle)]
    )


@pytest.mark.parametrize(
    "points", [hair_on(mean_head()).points, helix()[None]], ids=["hair", "curl"]
)
def test_frames_are_right_handed_and_orthonormal(points):
    frames = frames_along(points, MIDDLE)

    axes = np.stack([frames.side, frames.tangent, frames.normal], axis=-1)
    np.testing.assert_allclose(
        np.swapaxes(axes, -1, -2) @ axes, np.broadcast_to(np.eye(3), axes.shape), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-9)


def test_normals_of_hair_that_hangs_look_away_from_the_head():
    points = hair_on(mean_head(), points=60).points
    frames = frames_along(points, MIDDLE)

    off = (frames.normal * outward(points, MIDDLE)).sum(axis=2)
    assert (off[:, 30:] > 0.5).mean() > 0.97


def test_frames_turn_slowly_along_a_curl():
    """Twice as slowly as the curl itself, which a frame of its curvature would follow."""
    frames = frames_along(helix()[None], MIDDLE)

    between = np.rad2deg(
        np.arccos(np.clip((frames.normal[0, 1:] * frames.normal[0, :-1]).sum(axis=1), -1, 1))
    )
    assert between.max() < 360 * 8 / 199


def test_a_strand_straight_off_the_head_has_a_frame():
    rows = MIDDLE + np.linspace(0.08, 0.2, 30)[:, None] * [0, 1, 0]

    frames = frames_along(rows[None], MIDDLE)

    np.testing.assert_allclose(frames.tangent[0], np.tile([0, 1, 0], (30, 1)), atol=1e-9)
    np.testing.assert_allclose(frames.normal[0], np.tile(frames.normal[0, 0], (30, 1)), atol=1e-9)


def test_repeated_points_keep_the_direction_before_them():
    rows = np.array([[0, 0, 0], [0, -1, 0], [0, -1, 0], [0, -1, 0], [1, -1, 0]], float)[None]
    nowhere = np.zeros((1, 4, 3))

    np.testing.assert_allclose(tangents(rows)[0, 2], [0, -1, 0])
    np.testing.assert_allclose(np.linalg.norm(tangents(nowhere), axis=2), 1)
    frames = frames_along(nowhere + 0.1, MIDDLE)
    np.testing.assert_allclose(np.linalg.norm(frames.normal, axis=2), 1)


def test_outwards_is_level_below_the_middle_of_the_head():
    points = np.array([[0.1, -0.2, -0.015], [0, 0.3, -0.015]])

    np.testing.assert_allclose(outward(points, MIDDLE), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
