# SPDX-License-Identifier: Apache-2.0
"""Every cell of the scalp has its root, on the head it is asked for and where hair grows."""

import numpy as np
import pytest
import trimesh

from mien_server.hair.closest_points import closest_points
from mien_starter.hair.bust import bust_of
from mien_starter.hair.distance import distance_field
from mien_starter.hair.grounds import ground_of, shipped_ground
from mien_starter.hair.scalp import CENTRE, disk_from_square, hairline_angle, scalp_of


@pytest.fixture(scope="module")
def scalp():
    return shipped_ground().scalp


@pytest.fixture(scope="module")
def ball():
    """A distance field about a ball, whose distances are known."""
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.09)
    return distance_field(mesh.vertices, mesh.faces)


def test_roots_lie_on_the_mean_head(scalp, head_file):
    roots = scalp.roots.reshape(-1, 3)
    nearest = closest_points(roots, head_file["v_template"], head_file["f"])

    np.testing.assert_allclose(nearest.points, roots, atol=1e-4)
    np.testing.assert_allclose(scalp.barycentric.sum(axis=-1), 1, atol=1e-9)
    assert scalp.barycentric.min() >= 0


def test_roots_follow_a_shaped_head(scalp, head_file):
    rng = np.random.default_rng(3)
    shape = head_file["shapedirs"][..., :20].astype(float) @ rng.normal(0, 1.5, 20)
    other = head_file["v_template"] + shape
    roots = scalp.roots_on(other, head_file["f"])

    nearest = closest_points(roots.reshape(-1, 3), other, head_file["f"])
    moved = np.linalg.norm(roots - scalp.roots, axis=-1)

    np.testing.assert_allclose(nearest.points, roots.reshape(-1, 3), atol=1e-4)
    assert moved.max() > 0.003
    np.testing.assert_allclose(
        scalp.roots_on(head_file["v_template"], head_file["f"]), scalp.roots, atol=1e-9
    )


def test_hair_can_grow_in_all_but_the_outermost_ring_of_cells(scalp):
    assert scalp.growable.sum() == 900
    assert scalp.growable[1:-1, 1:-1].all()


def test_hair_grows_on_the_scalp_and_neither_on_the_face_nor_on_the_ears(scalp, head_file):
    x, y, z = scalp.roots[scalp.growable].T
    nearest = closest_points(scalp.roots[scalp.growable], head_file["v_template"], head_file["f"])
    corners = head_file["f"][nearest.face]
    faces = head_file["f"][head_file["full_lmk_faces_idx"][0]]
    weights = head_file["full_lmk_bary_coords"][0][..., None]
    landmarks = (head_file["v_template"][faces] * weights).sum(axis=1)

    assert y.max() > 0.13
    assert y.min() > -0.06
    assert not ((y < 0.08) & (z > 0.06)).any()
    assert np.linalg.norm(landmarks[17:, None] - np.stack([x, y, z], -1), axis=2).min() > 0.05
    # Beside the ears skin of their region may carry a root, their shells may not.
    on_ears = head_file["region_ears"][corners].all(axis=1)
    assert np.abs(x[on_ears]).max(initial=0) < 0.077


def test_the_scalp_mirrors_itself_and_row_0_is_the_forehead(scalp):
    mirrored = scalp.roots[:, ::-1] * [-1, 1, 1]

    np.testing.assert_allclose(mirrored, scalp.roots, atol=5e-5)
    assert scalp.roots[0, :, 2].min() > 0.03
    assert scalp.roots[-1, :, 2].max() < -0.03
    assert scalp.roots[16, 0, 0] < -0.07 < 0.07 < scalp.roots[16, -1, 0]


def test_normals_are_of_unit_length_and_point_outwards(scalp):
    outwards = scalp.roots - CENTRE

    np.testing.assert_allclose(np.linalg.norm(scalp.normals, axis=-1), 1, atol=1e-9)
    assert (scalp.normals * outwards).sum(axis=-1)[scalp.growable].min() > 0


def test_neighbouring_roots_are_about_equally_far_apart(scalp):
    """No part of the scalp is left bald by the map of the square."""
    grown = scalp.roots[1:-1, 1:-1]
    gaps = [np.linalg.norm(np.diff(grown, axis=axis), axis=-1) for axis in (0, 1)]

    assert np.concatenate([gap.ravel() for gap in gaps]).max() < 0.018
    assert np.median(gaps[0]) == pytest.approx(0.010, rel=0.25)


def test_the_map_of_the_square_keeps_areas_and_turns_rings_into_rings():
    a, b = np.random.default_rng(0).uniform(-0.98, 0.98, (2, 400))
    clear = np.abs(np.abs(a) - np.abs(b)) > 1e-3
    a, b = a[clear], b[clear]
    step = 1e-6

    def place(a, b):
        radius, azimuth = disk_from_square(a, b)
        return np.stack([radius * np.sin(azimuth), radius * np.cos(azimuth)])

    over_a = (place(a + step, b) - place(a - step, b)) / (2 * step)
    over_b = (place(a, b + step) - place(a, b - step)) / (2 * step)
    areas = over_a[0] * over_b[1] - over_a[1] * over_b[0]

    np.testing.assert_allclose(areas, np.pi / 4, atol=1e-4)
    np.testing.assert_allclose(disk_from_square(a, b)[0], np.maximum(np.abs(a), np.abs(b)))
    np.testing.assert_allclose(disk_from_square(1, 1)[1], np.pi / 4)
    np.testing.assert_allclose(disk_from_square(0, 1)[1], 0, atol=1e-12)


def test_the_hairline_is_the_same_on_both_sides_and_smooth_in_the_middle():
    turns = np.linspace(-np.pi, np.pi, 2001)
    line = hairline_angle(turns)

    np.testing.assert_allclose(line, line[::-1], atol=1e-12)
    assert np.abs(np.diff(line)).max() < np.deg2rad(1.5)
    np.testing.assert_allclose(np.gradient(line, turns)[[1000, 1]], 0, atol=0.02)


def test_a_face_without_a_back_has_no_scalp(head_file):
    front = head_file["v_template"][head_file["f"]][..., 2].mean(axis=1) > 0

    with pytest.raises(ValueError, match="cells of the scalp have no triangle"):
        scalp_of(head_file["v_template"], head_file["f"], front)


def test_a_file_that_is_no_head_says_what_is_missing(tmp_path):
    np.savez(tmp_path / "head.npz", v_template=np.zeros((4, 3)))

    with pytest.raises(ValueError, match="island"):
        ground_of(tmp_path / "head.npz")


def test_distances_from_a_ball_are_right_and_the_way_out_leads_away_from_it(ball):
    rng = np.random.default_rng(1)
    ways = rng.normal(0, 1, (4000, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    true = rng.uniform(-0.02, 0.05, 4000)
    distance, out = ball.at(ways * (0.09 + true)[:, None])
    near = np.abs(true) < 0.005

    np.testing.assert_allclose(distance[near], true[near], atol=5e-4)
    np.testing.assert_allclose(distance, true, atol=2e-3)
    assert (out * ways).sum(axis=1).min() > 0.97


def test_the_field_of_a_head_mirrors_itself_and_takes_points_outside_the_lattice():
    field = shipped_ground().field
    points = np.random.default_rng(2).uniform(-0.2, 0.2, (500, 3))
    here, way = field.at(points)
    there, other_way = field.at(points * [-1, 1, 1])

    np.testing.assert_allclose(there, here, atol=1e-5)
    np.testing.assert_allclose(other_way * [-1, 1, 1], way, atol=2e-3)
    assert np.isfinite(field.at(np.full((1, 3), 9.0))[0]).all()


def test_a_bust_continues_the_neck_without_a_gap(head_file):
    vertices, faces = bust_of(head_file["v_template"], head_file["f"])
    added = faces[len(head_file["f"]) :]
    edges = np.sort(np.concatenate([added[:, [0, 1]], added[:, [1, 2]], added[:, [2, 0]]]), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    first = added.min(axis=1) < len(head_file["v_template"])

    # Open only at its two ends: at the head's neck, and at the lower edge.
    assert (uses == 1).sum() == 2 * 42
    assert uses.max() == 2
    assert np.ptp(vertices[added[first].max(axis=1)][:, 0]) > 0.05
    assert vertices[:, 1].min() < -0.5
    np.testing.assert_array_equal(faces[: len(head_file["f"])], head_file["f"])
