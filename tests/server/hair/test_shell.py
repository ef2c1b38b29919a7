# SPDX-License-Identifier: Apache-2.0
from functools import cache

import numpy as np
import pytest
import trimesh

from mien_server.hair.closest_points import heights_above, nearest_points
from mien_server.hair.mesh_parts import part_of_vertex, smoothed, solid_parts
from mien_server.hair.more_strands import more_strands
from mien_server.hair.placing import pushed_out
from mien_server.hair.shell import hair_shell
from mien_server.hair.strands import Strands
from mien_server.hair.surface_nets import surface_between
from tests.server.hair.planted_hair import hair_on, mean_head

BROWN = (0.4, 0.25, 0.15)


def mesh(vertices, faces):
    return trimesh.Trimesh(vertices, faces, process=False)


@cache
def worn():
    return pushed_out(hair_on(mean_head()), mean_head(), clearance=0.001)


@cache
def shell_of(budget, *, on_head=True):
    return hair_shell(worn(), budget, head=mean_head() if on_head else None, colour=BROWN)


def ball_field(radius=8.0, size=25):
    index = np.indices((size, size, size)) - size // 2
    return radius - np.sqrt((index**2).sum(axis=0))


def test_the_surface_of_a_ball_is_a_ball():
    vertices, faces = surface_between(ball_field(), 0.0)

    ball = mesh(vertices, faces)
    assert ball.is_watertight
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.02)
    radii = np.linalg.norm(vertices - 12, axis=1)
    np.testing.assert_allclose(radii, 8, atol=0.15)
    assert ball.euler_number == 2


def test_any_field_has_a_watertight_surface_with_all_its_inner_nodes_within():
    """Noise has every configuration of a cell, those with crossed faces among them."""
    for seed in range(8):
        field = np.random.default_rng(seed).normal(size=(9, 10, 11))
        field = np.pad(field, 1, constant_values=-9.0)

        vertices, faces = surface_between(field, 0.3)

        found = mesh(vertices, faces)
        assert found.is_watertight
        assert found.is_winding_consistent
        assert found.volume > 0.5 * (field > 0.3).sum()


def test_a_surface_looks_out_along_every_axis():
    field = np.full((7, 8, 9), -1.0)
    field[2:5, 2:6, 2:7] = 1.0

    vertices, faces = surface_between(field, 0.0)

    box = mesh(vertices, faces)
    np.testing.assert_allclose(box.extents, [3, 4, 5])
    # Edges and corners of the box are cut off.
    assert 0.7 * 60 < box.volume < 60


def test_nothing_inside_has_no_surface():
    vertices, faces = surface_between(np.zeros((4, 4, 4)), 0.5)

    assert vertices.shape == (0, 3)
    assert faces.shape == (0, 3)


def test_a_node_on_the_border_cannot_be_inside():
    with pytest.raises(ValueError, match="margin"):
        surface_between(np.ones((4, 4, 4)), 0.5)


def test_cavities_and_crumbs_go_and_the_rest_stays():
    ball = trimesh.creation.icosphere(3, 1.0)
    cavity = trimesh.creation.icosphere(2, 0.5)
    cavity.invert()
    crumb = trimesh.creation.icosphere(1, 0.1)
    crumb.apply_translation([3, 0, 0])
    other = trimesh.creation.icosphere(2, 0.8)
    other.apply_translation([-3, 0, 0])
    whole = trimesh.util.concatenate([cavity, crumb, ball, other])

    vertices, faces = solid_parts(whole.vertices, whole.faces, smallest=0.02)

    left = mesh(vertices, faces)
    assert left.volume == pytest.approx(ball.volume + other.volume)
    assert len(np.unique(part_of_vertex(faces, len(vertices)))) == 2


def test_smoothing_evens_out_noise_and_keeps_the_volume():
    ball = trimesh.creation.icosphere(4, 1.0)
    noise = np.random.default_rng(0).normal(0, 0.02, len(ball.vertices))
    rough = ball.vertices * (1 + noise[:, None])

    smooth = smoothed(rough, ball.faces)

    assert np.linalg.norm(smooth, axis=1).std() < 0.45 * noise.std()
    assert mesh(smooth, ball.faces).volume == pytest.approx(ball.volume, rel=0.02)


def test_the_nearest_of_many_points_is_found_within_reach():
    generator = np.random.default_rng(0)
    points, queries = generator.uniform(0, 0.1, (800, 3)), generator.uniform(0, 0.1, (200, 3))
    gaps = np.linalg.norm(queries[:, None] - points, axis=2)

    found = nearest_points(queries, points, reach=0.006)

    within = gaps.min(axis=1) < 0.006
    assert 0.2 < within.mean() < 0.98
    np.testing.assert_array_equal(found[within], gaps.argmin(axis=1)[within])
    assert (found[~within] == -1).all()


@pytest.mark.parametrize("on_head", [True, False], ids=["on a head", "hollow"])
@pytest.mark.parametrize("budget", [1_000, 8_000])
def test_a_shell_is_closed_and_keeps_to_the_number_of_triangles(budget, on_head):
    shell = shell_of(budget, on_head=on_head)

    closed = mesh(shell.vertices, shell.triangles)
    assert 0.6 * budget < len(shell.triangles) <= budget
    assert closed.is_watertight
    assert closed.is_winding_consistent
    assert closed.volume > 0
    np.testing.assert_allclose(np.linalg.norm(shell.normals, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("budget", "farthest_m"), [(1_000, 0.032), (8_000, 0.012)])
def test_a_shell_lies_close_about_its_strands(budget, farthest_m):
    shell, head = shell_of(budget), mean_head()
    points = worn().points[::2].reshape(-1, 3)

    height, _ = heights_above(points, shell.vertices, shell.triangles)
    assert (height < 0.001).mean() > 0.93
    assert np.quantile(height, 0.99) < 0.006
    # From the other side: what is not inside the head is where hair is.
    above_skin, _ = heights_above(shell.vertices, head.vertices, head.skin)
    dense = more_strands(worn(), 3_000).points.reshape(-1, 3)
    near = nearest_points(shell.vertices, dense, reach=0.05)
    gap = np.linalg.norm(shell.vertices - dense[near], axis=1)
    assert np.quantile(gap[above_skin > 0], 0.98) < farthest_m


def test_a_shell_on_a_head_has_no_inner_side():
    solid, hollow = (shell_of(8_000, on_head=on_head) for on_head in (True, False))

    def volume(shell):
        return mesh(shell.vertices, shell.triangles).volume

    assert volume(solid) > volume(hollow) + 0.001  # a litre of skull


def test_the_same_seed_gives_the_same_shell_in_tones_of_the_hairs_colour():
    first, second = (hair_shell(worn(), 1_500, colour=BROWN, seed=2) for _ in range(2))

    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.colours, second.colours)
    np.testing.assert_allclose(
        first.colours / first.colours[:, :1],
        np.tile(np.array(BROWN) / BROWN[0], (len(first.colours), 1)),
        rtol=1e-4,
    )
    assert first.colours[:, 0].std() > 0.005


def test_a_single_strand_fills_nothing():
    strands = hair_on(mean_head(), count=1)
    still = Strands(np.tile(strands.points[:, :1], (1, 5, 1)), np.zeros((1, 5)))

    assert len(hair_shell(still, 1_000).triangles) == 0


@pytest.mark.parametrize(("count", "budget"), [(0, 1000), (5, 100)])
def test_a_shell_needs_a_strand_and_some_triangles(count, budget):
    strands = hair_on(mean_head(), count=5)
    with pytest.raises(ValueError, match="it takes a strand"):
        hair_shell(Strands(strands.points[:count], strands.curliness[:count]), budget)
