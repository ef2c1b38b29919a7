# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.spatial import cKDTree

from mien_server.hair.more_strands import more_strands, nearest_strands, smooth_course
from mien_server.hair.polylines import curliness_of, lengths, strands_from_polylines
from mien_server.hair.strands import Strands
from tests.server.hair.planted_hair import hair_on, mean_head


def straight(roots, way, points=20):
    along = np.linspace(0, 1, points)[:, None]
    rows = np.asarray(roots)[:, None] + along * np.asarray(way)
    return Strands(rows, curliness_of(rows))


def flat_roots(count, seed=0):
    roots = np.random.default_rng(seed).uniform(-0.05, 0.05, (count, 3))
    roots[:, 1] = 0
    return roots


def test_neighbours_are_those_that_a_search_tree_finds():
    strands = hair_on(mean_head(), count=1500)

    found = nearest_strands(strands, 5)

    gaps = np.linalg.norm(strands.roots[found] - strands.roots[:, None], axis=2)
    expected, _ = cKDTree(strands.roots).query(strands.roots, k=6)
    np.testing.assert_allclose(gaps, expected[:, 1:], atol=1e-5)
    assert (found != np.arange(1500)[:, None]).all()


def test_guides_come_first_and_the_same_seed_gives_the_same_strands():
    strands = hair_on(mean_head())

    more = more_strands(strands, 1500, seed=3)

    assert len(more) == 1500
    np.testing.assert_array_equal(more.points[: len(strands)], strands.points)
    np.testing.assert_array_equal(more.points, more_strands(strands, 1500, seed=3).points)
    assert not np.array_equal(more.points, more_strands(strands, 1500, seed=4).points)


def test_strands_between_parallel_ones_are_parallel_to_them_and_among_them():
    strands = straight(flat_roots(100), [0.02, -0.2, 0.05])

    more = more_strands(strands, 900)

    way = more.points[:, -1] - more.points[:, 0]
    np.testing.assert_allclose(way, np.tile([0.02, -0.2, 0.05], (900, 1)), atol=1e-5)
    assert np.abs(more.roots).max() < 0.06


def test_strands_on_either_side_of_a_parting_are_not_blended():
    roots = flat_roots(300)
    ways = np.where(roots[:, :1] > 0, 1.0, -1.0) * [[0.1, 0, 0]] + [[0, -0.02, 0]]
    strands = straight(roots, ways[:, None])

    more = more_strands(strands, 2000)

    across = np.abs(more.points[:, -1, 0] - more.points[:, 0, 0])
    np.testing.assert_allclose(across, 0.1, atol=1e-5)


def test_curtains_that_hang_side_by_side_after_a_parting_stay_two():
    roots = flat_roots(300)
    side = np.where(roots[:, :1, None] > 0, 1.0, -1.0)
    course = np.array([[0, 0, 0], [0.05, 0.01, 0], [0.06, -0.05, 0], [0.06, -0.35, 0]])
    rows = roots[:, None] * [0.2, 1, 1] + course * np.concatenate([side, 0 * side + 1, side], 2)
    strands = strands_from_polylines(rows.reshape(-1, 3), np.full(300, 4), 60)

    more = more_strands(strands, 2000)

    assert np.abs(more.points[:, 30:, 0]).min() > 0.04


def test_curls_out_of_step_stay_as_large_as_they_were():
    generator = np.random.default_rng(0)
    strands = straight(flat_roots(200), [0, -0.25, 0], points=100)
    turn = np.linspace(0, 2 * np.pi * 9, 100) + generator.uniform(0, 6.3, (200, 1))
    curl = 0.006 * np.stack([np.cos(turn), 0 * turn, np.sin(turn)], axis=2)
    curly = Strands(strands.points + curl, strands.curliness)

    more = more_strands(curly, 1000)

    fresh = more.points[200:, 10:-10]
    size = np.linalg.norm(fresh - smooth_course(more.points)[200:, 10:-10], axis=2).mean()
    before = np.linalg.norm(
        curly.points[:, 10:-10] - smooth_course(curly.points)[:, 10:-10], axis=2
    ).mean()
    assert size > 0.95 * before
    assert before > 0.005


def test_the_smooth_course_of_a_straight_strand_is_itself_and_ends_stay():
    strands = straight(flat_roots(5), [0, -0.2, 0.1], points=60)
    bent = hair_on(mean_head(), count=30)

    np.testing.assert_allclose(smooth_course(strands.points), strands.points, atol=1e-6)
    np.testing.assert_allclose(
        smooth_course(bent.points)[:, [0, -1]], bent.points[:, [0, -1]], atol=1e-6
    )


def test_fewer_strands_are_some_of_the_given_ones():
    strands = hair_on(mean_head())

    few = more_strands(strands, 100)

    np.testing.assert_array_equal(few.points, strands.points[::4])


def test_a_single_strand_is_doubled_in_place():
    strands = straight([[0, 0, 0]], [0, -0.1, 0])

    more = more_strands(strands, 4)

    np.testing.assert_allclose(lengths(more.points), 0.1, rtol=1e-5)


@pytest.mark.parametrize("count", [0, -4])
def test_no_strands_cannot_be_asked_for(count):
    with pytest.raises(ValueError, match="must be 1 or more"):
        more_strands(hair_on(mean_head(), count=3), count)
