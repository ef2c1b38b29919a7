# SPDX-License-Identifier: Apache-2.0
"""Hairs between strands, maps of which way they run, and pictures of them."""

import numpy as np
import pytest

from mien_server.hair.orientation import BODY, HAIR
from mien_server.hair.strands import GRID, GRID_POINTS
from mien_starter.hair.dense import dense_hairs
from mien_starter.hair.grounds import shipped_ground
from mien_starter.hair.growth import grow
from mien_starter.hair.orientation_map import orientation_map
from mien_starter.hair.pictures import View, hair_picture, view_of
from mien_starter.hair.ribbons import ribbons, segment_of
from mien_starter.hair.shadows import HairShadow
from mien_starter.hair.styles import STYLES

# A wall of 0.1 m, facing the viewer, at z = 0; the camera shows 0.4 m.
WALL = np.array([[-0.05, -0.05, 0], [0.05, -0.05, 0], [0.05, 0.05, 0], [-0.05, 0.05, 0]])
WALL_FACES = np.array([[0, 1, 2], [0, 2, 3]])
CAMERA = np.array([5.0, 0.0, 0.0])
NO_HAIR = np.zeros((0, 10, 3))


@pytest.fixture(scope="module")
def ground():
    return shipped_ground()


@pytest.fixture(scope="module")
def bob(ground):
    return grow(STYLES["bob"].recipe, 1, ground)


def strand(start, end, points=10):
    return np.linspace(start, end, points)[None]


def colours_at(picture, x, y):
    """The 5 x 5 pixels about a place in metres, on the map of `CAMERA`."""
    column, row = int(128 + 640 * x), int(128 - 640 * y)
    return picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3)


def drawn(hairs, **options):
    return orientation_map(hairs, WALL, WALL_FACES, CAMERA, **options)


@pytest.mark.parametrize(
    ("degrees", "green", "blue"),
    [(90, 255, 128), (-90, 255, 128), (0, 0, 255), (180, 0, 255), (30, 128, 238), (135, 180, 37)],
)
def test_a_strand_is_encoded_by_the_line_it_runs_along(degrees, green, blue):
    turn = np.deg2rad(degrees)
    middle, way = np.array([0, 0, 0.02]), 0.03 * np.array([np.cos(turn), np.sin(turn), 0])
    seen = drawn(strand(middle - way, middle + way), width_m=0.006)
    hair = seen[seen[..., 0] == HAIR]

    assert len(hair) > 100
    assert np.abs(hair.astype(int) - [HAIR, green, blue]).max() <= 1


def test_a_strand_behind_the_head_is_not_seen_and_beside_it_is():
    behind = strand([0, 0.04, -0.02], [0, -0.04, -0.02])
    beside = behind + np.array([0.1, 0, 0])

    np.testing.assert_array_equal(drawn(behind), drawn(NO_HAIR))
    assert (colours_at(drawn(beside), 0.1, 0.0)[:, 0] == HAIR).any()


def test_the_body_is_half_and_the_background_nothing():
    seen = drawn(NO_HAIR)

    assert (colours_at(seen, 0.0, 0.0) == [BODY, 0, 0]).all()
    assert (colours_at(seen, 0.15, 0.0) == 0).all()
    assert (seen[..., 0] == BODY).mean() == pytest.approx((0.1 / 0.4) ** 2, rel=0.03)


def test_of_two_strands_the_nearer_one_is_seen():
    upright, level = (
        strand([0, -0.03, 0.02], [0, 0.03, 0.02]),
        strand([-0.03, 0, 0.03], [0.03, 0, 0.03]),
    )
    seen = drawn(np.concatenate([upright, level]), width_m=0.008)

    assert (colours_at(seen, 0.0, 0.0) == [HAIR, 0, 255]).all()
    assert (colours_at(seen, 0.0, 0.02) == [HAIR, 255, 128]).all()


def test_turning_picture_and_hair_to_the_other_side_mirrors_the_map():
    rng = np.random.default_rng(5)
    hairs = np.cumsum(rng.normal(0, 0.006, (40, 12, 3)), axis=1) + np.array([0, 0, 0.05])
    seen, mirrored = drawn(hairs), drawn(hairs * [-1, 1, 1])
    hair, back = seen[..., 0] == HAIR, mirrored[:, ::-1, 0] == HAIR
    both = hair & back

    assert both.sum() > 0.97 * max(hair.sum(), back.sum())
    blue = seen[both][:, 2].astype(int) + mirrored[:, ::-1][both][:, 2]
    level = seen[both][:, 1] < 3
    assert np.mean(np.abs(blue - 255)[~level] <= 1) > 0.95


def test_a_full_head_of_hair_leaves_no_holes_in_its_map(bob, ground):
    hairs = dense_hairs(bob, ground.scalp, 6000)
    camera = np.array([4.2, 0.0, 0.03])
    seen = orientation_map(hairs, ground.vertices, ground.faces, camera)
    column, row = (
        128 + 537 * np.array([0.0, -0.06, 0.06]),
        128 - 537 * (np.array([0.11, 0.07, 0.07]) + 0.03),
    )

    for x, y in zip(column.astype(int), row.astype(int), strict=True):
        assert (seen[y - 3 : y + 4, x - 3 : x + 4, 0] == HAIR).mean() > 0.95
    # Hair of a bob hangs: beside the face most of it runs up and down.
    assert np.median(seen[seen[..., 0] == HAIR][:, 1]) > 240


def test_hairs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"hairs have shape \(3, 4\)"):
        drawn(np.zeros((3, 4)))


def test_dense_hairs_are_rooted_on_the_scalp_all_over_it(bob, ground):
    hairs = dense_hairs(bob, ground.scalp, 8000, seed=2)
    distance, _ = ground.field.at(hairs[:, 0])
    roots = ground.scalp.roots[ground.scalp.growable]
    gaps = np.linalg.norm(hairs[:, None, 0] - roots[::7], axis=2).min(axis=0)

    assert 5000 < len(hairs) <= 8000
    assert np.abs(distance).max() < 2e-3
    assert gaps.max() < 0.006
    np.testing.assert_array_equal(hairs, dense_hairs(bob, ground.scalp, 8000, seed=2))


def test_hairs_between_equal_strands_have_their_shape(ground):
    shape = np.cumsum(np.random.default_rng(0).normal(0, 0.001, (GRID_POINTS, 3)), axis=0)
    shape -= shape[0]
    grid = np.zeros((GRID, GRID, GRID_POINTS, 4), np.float32)
    grid[..., :3] = ground.scalp.roots[:, :, None] + shape
    hairs = dense_hairs(grid, ground.scalp, 500)

    np.testing.assert_allclose(hairs - hairs[:, :1], np.tile(shape, (len(hairs), 1, 1)), atol=1e-6)


def test_across_a_parting_no_hair_hangs_between_two_sides(ground):
    grid = np.zeros((GRID, GRID, GRID_POINTS, 4), np.float32)
    way = np.where(np.arange(GRID) < 16, -1.0, 1.0)[None, :, None] * np.linspace(
        0, 0.1, GRID_POINTS
    )
    grid[..., :3] = ground.scalp.roots[:, :, None]
    grid[..., 0] += way
    tips = dense_hairs(grid, ground.scalp, 3000)
    across = np.abs(tips[:, -1, 0] - tips[:, 0, 0])

    np.testing.assert_allclose(across, 0.1, atol=1e-3)


def test_empty_cells_grow_no_hair_and_a_bald_head_none_at_all(bob, ground):
    half = bob.copy()
    half[:, :16] = 0
    hairs = dense_hairs(half, ground.scalp, 3000)

    assert hairs[:, 0, 0].min() > -0.006
    assert dense_hairs(np.zeros_like(bob), ground.scalp, 100).shape == (0, GRID_POINTS, 3)


def test_ribbons_are_as_wide_as_asked_and_know_their_segments():
    hairs = np.concatenate(
        [strand([0, 0, 0], [0, -0.1, 0.05], 5), strand([1, 0, 0], [1.1, 0, 0], 5)]
    )
    vertices, faces = ribbons(hairs, [0.002, 0.004])
    corners = vertices[faces]
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    hair, segment = segment_of(np.arange(len(faces), dtype=np.int32), 5)

    np.testing.assert_allclose(areas[hair == 1] / 2, 0.004 * 0.025 / 2, rtol=1e-4)
    np.testing.assert_allclose(np.ptp(vertices[:10, 0]), 0.002, rtol=1e-5)
    np.testing.assert_array_equal(segment[:8], [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_allclose(corners[hair == 1].mean(axis=1)[:, 0].min(), 1.008, atol=1e-3)


def test_light_is_lost_in_hair_behind_it_and_nowhere_else():
    rng = np.random.default_rng(1)
    hairs = strand([0, 0, 0], [0.02, 0, 0], 40) + rng.uniform(-0.02, 0.02, (400, 1, 3))
    shadow = HairShadow(hairs, [0.0, 0.0, 1.0], 1e-4)
    before, behind, beside = shadow.at(np.array([[0.01, 0, 0.05], [0.01, 0, -0.05], [0.2, 0, 0]]))

    # 8 m of hair, 0.1 mm wide, over 4 x 6 cm: a third of it is covered.
    assert behind == pytest.approx(np.exp(-8 * 1e-4 / 0.0024), rel=0.25)
    assert before == pytest.approx(1, abs=1e-6)
    assert beside == pytest.approx(1, abs=1e-6)


def test_a_picture_shows_hair_where_hair_is(bob, ground):
    hairs = dense_hairs(bob, ground.scalp, 4000)
    view = View(0.0, 0.0)
    bald = hair_picture(hairs[:0], ground, view, 96, oversample=1)
    haired = hair_picture(hairs, ground, view, 96, colour=(0.1, 0.1, 0.4), oversample=1)
    changed = np.abs(haired.astype(int) - bald).max(axis=2) > 40
    blue = haired[..., 2].astype(int) - haired[..., 0]

    assert changed[15, 48]
    assert not changed[48 + 5, 48]  # the nose
    assert np.median(blue[changed]) > 15
    np.testing.assert_array_equal(haired[0, 0], bald[0, 0])


def test_a_view_holds_head_and_hair(bob, ground):
    hairs = dense_hairs(bob, ground.scalp, 200)
    view = view_of(hairs, -30.0)
    high = hairs - [0, 1, 0]

    assert view.low_y < hairs[..., 1].min()
    assert view_of(hairs * [3, 1, 1], 0.0).high_y - view_of(hairs, 0.0).low_y > 0.5
    assert view_of(high, 0.0).low_y < high[..., 1].min()
    assert view_of(hairs[:0], 0.0) == View(0.0, low_y=-0.17, high_y=0.165)
    np.testing.assert_allclose(view.turn @ view.turn.T, np.eye(3), atol=1e-12)
