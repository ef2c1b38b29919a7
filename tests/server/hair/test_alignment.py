# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.alignment import (
    aligned,
    aligned_as_printed,
    crown_width,
    hair_anchor,
    head_anchor,
    head_from_hair,
)
from mien_server.hair.closest_points import closest_points
from mien_server.hair.head import Head
from mien_server.hair.strands import Strands
from tests.server.hair.planted_hair import (
    hair_on,
    head_arrays,
    mean_head,
    random_head,
    transformed,
)

SHIFT = np.array([0.3, -1.2, 0.7])


def renumbered(head: Head, seed: int = 0) -> Head:
    """The same head with its vertices and triangles in another order."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(head.vertices))
    rank = np.argsort(order)
    faces = rank[head.skin][generator.permutation(len(head.skin))]
    return Head.of(head.vertices[order], faces, head.scalp[order])


def moved(head: Head, scale: float, shift) -> Head:
    return head.with_vertices(head.vertices.astype(np.float64) * scale + np.asarray(shift))


def far_roots(strands: Strands, head: Head) -> float:
    """Share of the roots that are more than 5 mm off the skin."""
    on_skin = closest_points(strands.roots, head.vertices, head.skin).points
    return float((np.linalg.norm(on_skin - strands.roots, axis=1) > 0.005).mean())


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_hair_maps_onto_itself_on_the_head_that_it_was_made_on(seed):
    head = mean_head() if seed is None else random_head(seed)
    strands = hair_on(head)

    np.testing.assert_allclose(aligned(strands, head, head).points, strands.points, atol=1e-6)


def test_long_hair_keeps_its_size_although_it_is_wider_than_the_head():
    wide = hair_on(mean_head(), end_m=-0.4)
    wide = Strands(wide.points * np.array([2.0, 1, 1], np.float32), wide.curliness)

    assert head_from_hair(wide, mean_head(), mean_head()).scale == 1


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3])
def test_a_planted_translation_and_scale_of_the_head_is_recovered(scale):
    strands = hair_on(mean_head())

    found = head_from_hair(strands, moved(mean_head(), scale, SHIFT), mean_head())

    assert found.scale == pytest.approx(scale, abs=1e-6)
    np.testing.assert_allclose(found.shift, SHIFT, atol=1e-6)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3])
def test_a_planted_translation_and_scale_of_the_hair_is_undone(scale):
    strands = hair_on(mean_head())
    head = random_head(3)

    expected = aligned(strands, head, mean_head())
    found = aligned(transformed(strands, scale, SHIFT), head, moved(mean_head(), scale, SHIFT))

    np.testing.assert_allclose(found.points, expected.points, atol=2e-6)
    np.testing.assert_allclose(found.curliness, expected.curliness, atol=1e-6)


def test_vertices_strands_and_triangles_may_come_in_any_order():
    strands, made_on, head = hair_on(mean_head()), mean_head(), random_head(1)
    order = np.random.default_rng(1).permutation(len(strands))
    shuffled = Strands(strands.points[order], strands.curliness[order])

    for source in (made_on, None):
        other = None if source is None else renumbered(made_on)
        expected = aligned(strands, head, source).points[order]
        found = aligned(shuffled, renumbered(head), other)
        np.testing.assert_allclose(found.points, expected, atol=1e-6)


def test_a_mirrored_head_gets_mirrored_hair():
    flip = np.array([-1.0, 1, 1], np.float32)
    strands, head = hair_on(mean_head()), random_head(2)
    mirrored = Strands(strands.points * flip, strands.curliness)

    expected = aligned(strands, head, mean_head()).points * flip
    found = aligned(
        mirrored,
        head.with_vertices(head.vertices * flip),
        mean_head().with_vertices(mean_head().vertices * flip),
    )

    np.testing.assert_allclose(found.points, expected, atol=1e-6)


def test_hair_of_an_unknown_head_comes_near_the_scalp_wherever_it_was_and_however_large():
    strands = hair_on(mean_head(), count=1000)

    for scale in (0.8, 1.0, 1.2):
        found = aligned(transformed(strands, scale, SHIFT), mean_head())
        ratio = np.ptp(found.roots, axis=0) / np.ptp(strands.roots, axis=0)
        np.testing.assert_allclose(ratio, 1, atol=0.03)
        assert np.abs(found.points - strands.points).max() < 0.01


def test_a_strip_of_hair_is_not_blown_up_to_the_width_of_a_head():
    strands = hair_on(mean_head(), count=1000)
    strip = np.abs(strands.roots[:, 0]) < 0.015
    mohawk = Strands(strands.points[strip], strands.curliness[strip])

    assert head_from_hair(mohawk, mean_head()).scale < 1.5


def test_a_head_of_another_model_is_compared_by_its_scalp():
    dense = renumbered(mean_head())
    strands = hair_on(mean_head())

    found = aligned(strands, dense, mean_head())

    np.testing.assert_allclose(found.points, strands.points, atol=1e-6)


def test_a_symmetric_head_is_anchored_in_its_middle_whatever_the_order_of_its_vertices():
    half = mean_head().vertices[mean_head().vertices[:, 0] > 0.001]
    symmetric = np.concatenate([half, half * np.array([-1, 1, 1], np.float32)])

    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(symmetric))
        assert abs(head_anchor(symmetric[order])[0]) < 1e-9


def test_anchors_are_those_of_equation_1():
    heights = np.arange(40.0)
    head = np.column_stack([heights**2, heights, -heights])
    strand = np.column_stack([np.arange(40.0), 5 - np.arange(40.0), np.full(40, 3.0)])
    strands = Strands(np.stack([strand, strand + np.array([10, 1, 2])]), np.zeros((2, 40)))

    np.testing.assert_allclose(head_anchor(head), [(38**2 + 39**2) / 2, 39, -38.5])
    np.testing.assert_allclose(hair_anchor(strands), [(0 + 1 + 10 + 11) / 4, 6, 4])


def test_a_crown_is_as_wide_as_its_widest_place_above_the_ears():
    height = np.linspace(0, 0.1, 2001)
    half = 0.08 * np.sqrt(np.minimum(height / 0.06, 1))  # widens for 6 cm below the crown
    skull = np.concatenate(
        [np.column_stack([side * half, -height, 0 * half]) for side in (-1.0, 1.0)]
    )
    ears = np.array([(0.1, -0.1, 0), (-0.1, -0.1, 0)])

    assert crown_width(skull) == pytest.approx(0.16, rel=1e-6)
    assert crown_width(np.concatenate([skull, ears])) == pytest.approx(0.16, rel=1e-6)
    assert crown_width(np.concatenate([skull, ears]) * 3 + SHIFT) == pytest.approx(0.48, rel=1e-6)


# Equations (1) to (4) once more, in the axes they are printed in: x to the left, y back, z up.
HEAD_Z_UP = np.array([(i - 9.5, (i % 5) - 2.0, i / 4) for i in range(20)])  # top 5 %: the last one
HAIR_Z_UP = np.array([[(1.0 + k, 2.0 - k, 3.0 + k) for k in range(20)],
                      [(-4.0 - k, 1.0, 5.0 - k) for k in range(20)]])  # fmt: skip


def y_up(points):
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def as_printed(hair, head, c):
    a_head = np.array([head[-1, 0], head[-1, 1], head[-1, 2]])
    first = hair[:, 0]  # 5 % of 20 points
    a_hair = np.array([first[:, 0].mean(), first[:, 1].mean(), first[:, 2].max()])
    t = a_hair - a_head + c
    s = np.ptp(hair[..., 0]) / np.ptp(head[:, 0]) + c
    return (hair + t) / s


@pytest.mark.parametrize("c", [0.0, 0.25, -3.0])
def test_the_printed_form_is_the_printed_form(c):
    strands = Strands(y_up(HAIR_Z_UP), np.zeros(HAIR_Z_UP.shape[:2]))

    found = aligned_as_printed(strands, y_up(HEAD_Z_UP), calibration=c)

    np.testing.assert_allclose(
        found.points, y_up(as_printed(HAIR_Z_UP, HEAD_Z_UP, c)), rtol=1e-6, atol=1e-5
    )


def test_a_calibration_that_leaves_no_size_is_refused():
    strands = Strands(y_up(HAIR_Z_UP), np.zeros(HAIR_Z_UP.shape[:2]))
    ratio = np.ptp(HAIR_Z_UP[..., 0]) / np.ptp(HEAD_Z_UP[:, 0])

    with pytest.raises(ValueError, match="S is 0"):
        aligned_as_printed(strands, y_up(HEAD_Z_UP), calibration=-ratio)


def test_the_printed_form_moves_hair_away_from_the_head_that_it_is_off():
    head = head_arrays()["v_template"]
    strands = hair_on(mean_head())
    stretch = np.array([np.ptp(head[:, 0]) / np.ptp(strands.points[..., 0]), 1, 1])
    as_wide = Strands(strands.points * stretch + [0.5, 0, 0], strands.curliness)  # S is 1

    printed = aligned_as_printed(as_wide, head)

    gap = hair_anchor(as_wide) - head_anchor(head)
    np.testing.assert_allclose(hair_anchor(printed) - head_anchor(head), 2 * gap, atol=1e-5)


def test_the_printed_form_shrinks_a_heads_own_long_hair():
    head = head_arrays()["v_template"]
    strands = hair_on(mean_head(), end_m=-0.3)
    wide = Strands(strands.points * np.array([1.5, 1, 1], np.float32), strands.curliness)

    printed = aligned_as_printed(wide, head)

    assert np.ptp(printed.points[..., 0]) == pytest.approx(np.ptp(head[:, 0]), rel=1e-5)
    assert far_roots(printed, mean_head()) > 0.9


def test_no_strands_are_nothing_to_align():
    with pytest.raises(ValueError, match="no strands"):
        aligned(Strands(np.zeros((0, 5, 3)), np.zeros((0, 5))), mean_head())
