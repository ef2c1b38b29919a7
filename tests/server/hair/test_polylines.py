# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.polylines import (
    curliness_of,
    lengths,
    resampled,
    strands_from_polylines,
    with_points,
)
from mien_server.hair.strands import Strands


def arc(count, radius=0.05, turn=np.pi / 2, uneven=1.0):
    angle = turn * np.linspace(0, 1, count) ** uneven
    return radius * np.column_stack([np.cos(angle), np.sin(angle), np.zeros(count)])


def test_points_on_a_straight_line_become_equally_far_apart():
    places = np.array([0, 0.1, 0.15, 0.7, 1.0])
    line = places[:, None] * np.array([0.3, -0.4, 0.0])

    rows = resampled(line, [5], 11)

    np.testing.assert_allclose(
        rows[0], np.linspace(0, 1, 11)[:, None] * [0.3, -0.4, 0.0], atol=1e-12
    )


def test_strands_of_different_sizes_are_resampled_as_each_would_be_alone():
    generator = np.random.default_rng(0)
    strands = [np.cumsum(generator.normal(size=(n, 3)), axis=0) for n in (2, 7, 100, 3)]

    together = resampled(np.concatenate(strands), [len(s) for s in strands], 25)
    alone = [resampled(s, [len(s)], 25)[0] for s in strands]

    np.testing.assert_allclose(together, alone, atol=1e-9)
    for strand, rows in zip(strands, together, strict=True):
        np.testing.assert_allclose(rows[[0, -1]], strand[[0, -1]], atol=1e-12)


def test_resampling_a_finely_drawn_arc_gives_equal_chords():
    rows = resampled(arc(20_001, uneven=2.0), [20_001], 16)

    chords = np.linalg.norm(np.diff(rows[0], axis=0), axis=1)
    np.testing.assert_allclose(chords, 2 * 0.05 * np.sin(np.pi / 4 / 15), rtol=1e-6)


def test_repeated_points_are_no_places_to_stop_at():
    line = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [2, 0, 0]])

    np.testing.assert_allclose(resampled(line, [6], 5)[0][:, 0], [0, 0.5, 1, 1.5, 2], atol=1e-12)


def test_curliness_of_a_circle_is_its_chord_squared_over_its_radius():
    strands = strands_from_polylines(arc(5001), [5001], 50)
    chord = 2 * 0.05 * np.sin(np.pi / 4 / 49)

    np.testing.assert_allclose(strands.curliness[0, 1:-1], chord**2 / 0.05, rtol=2e-3)
    assert not strands.curliness[0, [0, -1]].any()


def test_curliness_of_a_straight_strand_is_nothing():
    assert curliness_of(np.linspace(0, 1, 9)[None, :, None] * np.ones(3)).max() < 1e-7


def test_changing_the_number_of_points_keeps_length_and_leaves_out_strands_without_one():
    rows = np.stack([arc(200), np.tile([0.1, 0.2, 0.3], (200, 1)), arc(200, radius=0.03)])
    strands = with_points(Strands(rows, np.zeros(rows.shape[:2])), 64)

    assert strands.points.shape == (2, 64, 3)
    np.testing.assert_allclose(
        lengths(strands.points), np.array([0.05, 0.03]) * np.pi / 2, rtol=1e-3
    )


def test_no_polylines_stay_none():
    assert resampled(np.zeros((0, 3)), [], 7).shape == (0, 7, 3)


@pytest.mark.parametrize(
    ("points", "counts", "wanted"),
    [
        pytest.param(np.zeros((3, 3)), [3], 4, id="no length"),
        pytest.param(arc(5), [4], 4, id="other counts"),
        pytest.param(arc(5), [4, 1], 4, id="a single point"),
        pytest.param(arc(5), [5], 1, id="one point wanted"),
    ],
)
def test_polylines_that_cannot_be_resampled_are_refused(points, counts, wanted):
    with pytest.raises(ValueError, match=r"length 0|needs 2 or more"):
        resampled(points, counts, wanted)
