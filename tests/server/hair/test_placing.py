# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from mien_server.hair.alignment import aligned
from mien_server.hair.closest_points import closest_points, heights_above
from mien_server.hair.head import Head
from mien_server.hair.placing import (
    bound_roots,
    carried_over,
    placed,
    pushed_out,
    root_misfit,
    settled,
    with_roots_at,
    with_roots_on_scalp,
)
from mien_server.hair.polylines import lengths
from mien_server.hair.strands import Strands
from tests.server.hair.planted_hair import hair_on, mean_head, random_head, transformed

SHIFT = np.array([0.3, 1.6, -0.2])


def ball(radius=0.1, subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    return Head.of(mesh.vertices, mesh.faces, mesh.vertices[:, 1] > 0)


def distances(points, head, faces=None):
    """Metres from a few points to the mesh, by trimesh, of all pairs of point and triangle."""
    corners = head.vertices[head.skin if faces is None else faces].astype(np.float64)
    closest = trimesh.triangles.closest_point(
        np.tile(corners, (len(points), 1, 1)),
        np.repeat(points.astype(np.float64), len(corners), axis=0),
    ).reshape(len(points), len(corners), 3)
    return np.linalg.norm(closest - points[:, None], axis=2).min(axis=1)


def heights(strands, head):
    """(S P,) metres above the skin; infinite below the nape, where the neck is cut."""
    points = strands.points.reshape(-1, 3)
    height, _ = heights_above(points, head.vertices, head.skin)
    return np.where(points[:, 1] > -0.05, height, np.inf)


def test_the_closest_point_is_the_one_that_trimesh_finds():
    head = mean_head()
    points = np.random.default_rng(0).uniform(-0.15, 0.15, (25, 3)).astype(np.float32)

    found = closest_points(points, head.vertices, head.skin)

    gaps = np.linalg.norm(found.points - points, axis=1)
    np.testing.assert_allclose(gaps, distances(points, head), atol=1e-6)
    corners = head.vertices[head.skin[found.face]]
    np.testing.assert_allclose(
        (corners * found.weights[..., None]).sum(axis=1), found.points, atol=1e-6
    )
    assert found.weights.min() > -1e-5


def test_heights_above_a_ball_are_known():
    head = ball(subdivisions=5)
    points = np.random.default_rng(1).normal(size=(500, 3))
    radii = np.random.default_rng(2).uniform(0.02, 0.2, 500)
    points *= (radii / np.linalg.norm(points, axis=1))[:, None]

    height, _ = heights_above(points, head.vertices, head.skin)

    np.testing.assert_allclose(height, radii - 0.1, atol=2e-4)


def test_what_is_out_of_reach_is_infinitely_high():
    head = ball()

    height, _ = heights_above([[0, 0.2, 0], [0, 0.104, 0]], head.vertices, head.skin, reach=0.01)

    assert np.isinf(height[0])
    assert height[1] == pytest.approx(0.004, abs=3e-4)


@pytest.mark.parametrize("seed", range(3))
def test_roots_end_on_the_scalp_and_tips_of_long_strands_stay(seed):
    head = random_head(seed)
    strands = aligned(hair_on(mean_head(), end_m=-0.3), head, mean_head())

    snapped = with_roots_on_scalp(strands, head)

    assert distances(snapped.roots[::25], head, head.scalp_faces).max() < 1e-6
    long = lengths(strands.points) > 0.3
    np.testing.assert_array_equal(snapped.points[long, -1], strands.points[long, -1])
    assert long.mean() > 0.5


def test_sideburns_go_to_the_skin_they_grow_on_and_no_root_to_an_ear():
    head = mean_head()
    x, y, z = 0.0745, 0.012, 0.006  # before the ear, where the model has no scalp
    off = np.array([[x, y, z], [-x, y, z]]) * 1.02
    rows = off[:, None] + np.linspace(0, 0.02, 5)[:, None] * [0, -1, 0]
    behind = head.vertices[head.scalp & (head.vertices[:, 1] < 0) & (head.vertices[:, 2] > -0.04)]
    lifted = behind + np.sign(behind) * [0.002, 0, 0]
    near_ears = lifted[:, None] + np.linspace(0, 0.02, 5)[:, None] * [0, -1, 0]

    burns = with_roots_on_scalp(Strands(rows, np.zeros((2, 5))), head).roots
    others = with_roots_on_scalp(Strands(near_ears, np.zeros(near_ears.shape[:2])), head).roots

    assert np.linalg.norm(burns - off, axis=1).max() < 0.006
    assert distances(burns, head).max() < 1e-6
    assert len(others) > 3
    assert distances(others, head, head.scalp_faces).max() < 1e-6


def test_roots_that_are_on_the_scalp_stay_and_their_strands_with_them():
    strands = hair_on(mean_head())

    snapped = with_roots_on_scalp(strands, mean_head())

    np.testing.assert_allclose(snapped.points, strands.points, atol=1e-6)


def test_a_strand_bends_gently_when_its_root_moves():
    straight = np.linspace([0, 0, 0], [0, -0.3, 0], 100)[None]
    strands = Strands(straight, np.zeros((1, 100)))

    moved = with_roots_at(strands, np.array([[0.008, 0, 0]], np.float32))

    np.testing.assert_allclose(moved.roots, [[0.008, 0, 0]])
    steps = np.diff(moved.points[0], axis=0)
    angles = np.rad2deg(np.arctan2(np.abs(steps[:, 0]), -steps[:, 1]))
    assert angles.max() < 10
    assert (np.diff(moved.points[0, :, 0]) <= 1e-9).all()


def test_roots_are_carried_over_to_the_same_triangles():
    strands, head = hair_on(mean_head()), random_head(1)
    on_mean = closest_points(strands.roots, mean_head().vertices, mean_head().skin)

    carried = carried_over(bound_roots(strands, mean_head()), head)

    corners = head.vertices[mean_head().skin[on_mean.face]]
    np.testing.assert_allclose(
        carried, (corners * on_mean.weights[..., None]).sum(axis=1), atol=1e-6
    )
    assert distances(carried[::25], head).max() < 1e-6


@pytest.mark.parametrize("clearance", [0.0, 0.002, -0.003])
def test_nothing_is_lower_than_asked_in_a_head_after_pushing_out(clearance):
    head = random_head(2)
    strands = aligned(hair_on(mean_head(), count=300), head, mean_head())
    sunk = Strands(strands.points * np.array([0.93, 0.97, 0.93], np.float32), strands.curliness)

    lifted = pushed_out(sunk, head, clearance=clearance)

    before, after = heights(sunk, head), heights(lifted, head)
    assert (before < clearance).mean() > 0.03
    assert after.min() > min(clearance, 0) - 2e-5
    # Points that were high enough are not touched.
    high = (before > max(clearance, 0) + 1e-5) & np.isfinite(before)
    np.testing.assert_array_equal(
        lifted.points.reshape(-1, 3)[high], sunk.points.reshape(-1, 3)[high]
    )


def test_clearance_is_reached_away_from_the_roots_alone():
    head = ball()
    angle = np.linspace(0, np.pi / 2, 50)
    arc = 0.0999 * np.column_stack([np.sin(angle), np.cos(angle), np.zeros(50)])
    strands = Strands(arc[None], np.zeros((1, 50)))

    lifted = pushed_out(strands, head, clearance=0.003)

    height, _ = heights_above(lifted.points[0], head.vertices, head.skin)
    assert abs(height[0]) < 1e-5
    np.testing.assert_allclose(height[10:], 0.003, atol=1e-4)
    assert (np.diff(height[:4]) > 5e-4).all()


def test_points_are_lifted_straight_out_of_a_ball():
    head = ball(subdivisions=5)
    directions = np.random.default_rng(3).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    strands = Strands(np.stack([0.12 * directions, 0.09 * directions], axis=1), np.zeros((200, 2)))

    lifted = pushed_out(strands, head)

    np.testing.assert_allclose(lifted.points[:, 1], 0.1 * directions, atol=5e-4)
    np.testing.assert_array_equal(lifted.points[:, 0], strands.points[:, 0])


@pytest.mark.parametrize("seed", range(3))
def test_hair_fits_heads_of_people_it_was_not_made_for(seed):
    head = random_head(seed)

    worn = placed(hair_on(mean_head(), count=300), head, mean_head())

    assert distances(worn.roots[::25], head).max() < 1e-5
    assert heights(worn, head).min() > -2e-5


def test_bound_roots_can_be_kept_for_other_heads():
    strands, head = hair_on(mean_head(), count=300), random_head(1)
    bound = bound_roots(strands, mean_head())

    kept = placed(strands, head, mean_head(), roots=bound)

    np.testing.assert_array_equal(kept.points, placed(strands, head, mean_head()).points)


def test_roots_on_the_skin_are_left_alone_where_one_says_so():
    head = ball()
    rows = np.array([[[0, 0.0995, 0], [0, 0.09, 0.01]]])
    strands = Strands(rows, np.zeros((1, 2)))

    lifted = pushed_out(strands, head, rooted=True)

    np.testing.assert_array_equal(lifted.roots, strands.roots)
    assert heights_above(lifted.points[:, 1], head.vertices, head.skin)[0] > -1e-5


def test_hair_of_an_unknown_head_settles_exactly_where_it_was_planted():
    strands = hair_on(mean_head(), count=800)
    elsewhere = transformed(strands, 1.15, SHIFT)

    found = settled(aligned(elsewhere, mean_head()), mean_head())

    np.testing.assert_allclose(found.points, strands.points, atol=2e-6)


@pytest.mark.parametrize("seed", range(3))
def test_settling_brings_roots_of_another_head_nearer_to_the_scalp(seed):
    head = random_head(seed)
    start = aligned(transformed(hair_on(mean_head(), count=800), 1.2, SHIFT), head)

    end = settled(start, head)

    def gap(strands):
        on_scalp = closest_points(strands.roots, head.vertices, head.scalp_faces).points
        return np.sqrt(((on_scalp - strands.roots) ** 2).sum(axis=1).mean())

    assert gap(end) < 0.8 * gap(start)
    assert gap(end) < 0.004


def test_roots_of_people_fit_and_those_of_a_room_do_not():
    another = hair_on(random_head(4))

    assert root_misfit(another, mean_head()) < 0.004
    assert root_misfit(transformed(another, 10, SHIFT), mean_head()) > 0.1


def test_settling_does_not_shrink_to_a_point_what_fits_no_scalp():
    flat = np.random.default_rng(0).uniform(-0.1, 0.1, (300, 5, 3)) * [1, 0, 1]
    strands = Strands(flat, np.zeros((300, 5)))

    found = settled(strands, mean_head())

    assert np.ptp(found.points[..., 0]) > 0.45 * np.ptp(flat[..., 0])


def test_settling_a_strip_of_hair_leaves_its_size_as_it_was():
    strands = hair_on(mean_head(), count=1500)
    strip = np.abs(strands.roots[:, 0]) < 0.012
    mohawk = Strands(strands.points[strip], strands.curliness[strip])

    found = settled(transformed(mohawk, 1.0, [0.004, 0.006, -0.003]), mean_head())

    np.testing.assert_allclose(found.points, mohawk.points, atol=5e-3)


def test_a_bald_head_stays_as_it_is():
    none = Strands(np.zeros((0, 9, 3)), np.zeros((0, 9)))

    assert len(with_roots_on_scalp(none, mean_head())) == 0
    assert len(pushed_out(none, mean_head())) == 0
