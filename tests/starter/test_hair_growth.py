# SPDX-License-Identifier: Apache-2.0
"""Hair grows from the scalp, keeps out of skin and off eyes, and does as its recipe says."""

from dataclasses import replace

import numpy as np
import pytest

from mien_server.hair.closest_points import heights_above
from mien_server.hair.polylines import curliness_of, lengths
from mien_server.hair.strands import GRID, GRID_POINTS, strands_from_grid
from mien_starter.hair.curls import wound
from mien_starter.hair.draws import draw_recipe
from mien_starter.hair.finish import cut_to, evened
from mien_starter.hair.grounds import shipped_ground
from mien_starter.hair.growth import grow
from mien_starter.hair.recipe import RANGES, TIES, HairstyleRecipe
from mien_starter.hair.styles import STYLES
from mien_starter.hair.tails import RING_M
from mien_starter.hair.tied import _ties

EVEN_BOB = replace(STYLES["bob"].recipe, irregular=0.0, part_x=0.0)
EVEN_SIDE_PART = replace(STYLES["short_side_part"].recipe, irregular=0.0)


@pytest.fixture(scope="module")
def ground():
    return shipped_ground()


@pytest.fixture(scope="module")
def grids(ground):
    """Every named style, and some at random."""
    rng = np.random.default_rng(11)
    drawn = {f"draw {number}": (draw_recipe(rng), number) for number in range(4)}
    named = {name: (style.recipe, style.seed) for name, style in STYLES.items()}
    return {name: grow(recipe, seed, ground) for name, (recipe, seed) in {**named, **drawn}.items()}


def lengths_of(grid):
    return lengths(strands_from_grid(grid).points)


def test_strands_begin_at_their_roots_and_cells_without_hair_are_empty(grids, ground):
    for name, grid in grids.items():
        filled = grid.any(axis=(2, 3))

        assert grid.shape == (GRID, GRID, GRID_POINTS, 4), name
        assert grid.dtype == np.float32
        assert 700 <= filled.sum() <= 950, name
        assert not filled[~ground.scalp.growable].any(), name
        np.testing.assert_allclose(
            grid[filled][:, 0, :3], ground.scalp.roots[filled], atol=1e-6, err_msg=name
        )


def test_points_are_equally_far_apart_and_curliness_is_measured_on_them(grids):
    for name, grid in grids.items():
        strands = strands_from_grid(grid)
        steps = np.linalg.norm(np.diff(strands.points.astype(float), axis=1), axis=2)

        assert (np.ptp(steps, axis=1) / steps.mean(axis=1)).max() < 2e-3, name
        np.testing.assert_allclose(
            strands.curliness, curliness_of(strands.points), atol=1e-6, err_msg=name
        )


def test_no_point_lies_in_head_neck_or_shoulders(grids, ground):
    outer = ground.faces[ground.outer]
    for name, grid in grids.items():
        points = strands_from_grid(grid).points.reshape(-1, 3)
        near = points[ground.field.at(points)[0] < 0.006]
        height, _ = heights_above(near, ground.vertices, outer)

        assert len(near) > 100, name
        assert height.min() > -1e-3, name


def test_nothing_hangs_before_the_eyes_but_a_fringe(grids):
    for name, style in STYLES.items():
        if style.recipe.fringe == 0:
            x, y, z = grids[name][grids[name].any(axis=(2, 3))][..., :3].reshape(-1, 3).T
            before = (np.abs(x) < 0.045) & (y > -0.02) & (y < 0.035) & (z > 0.06)

            assert before.sum() < 10, name


def test_lengths_are_those_of_the_styles(grids):
    median = {name: 100 * np.median(lengths_of(grids[name])) for name in STYLES}

    assert median["buzz"] < 1
    assert median["crew"] < median["short_side_part"] < median["bob"] < median["long_straight"]
    assert 12 < median["bob"] < 30 < median["long_straight"] < 60
    assert median["long_curly"] > median["shag"]


def test_one_seed_gives_one_style_and_another_seed_another(ground):
    recipe = STYLES["pixie"].recipe
    first, again, other = (grow(recipe, seed, ground) for seed in (4, 4, 5))

    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_without_irregularities_the_seed_does_not_matter(ground):
    np.testing.assert_array_equal(grow(EVEN_BOB, 1, ground), grow(EVEN_BOB, 2, ground))


def test_a_symmetric_style_mirrors_itself(ground):
    grid = grow(EVEN_BOB, 0, ground)
    mirrored = grid[:, ::-1] * np.array([-1, 1, 1, 1], np.float32)

    np.testing.assert_allclose(mirrored[..., :3], grid[..., :3], atol=5e-4)


def test_the_mirrored_recipe_gives_the_mirrored_style(ground):
    recipe = replace(EVEN_SIDE_PART, wave_m=0.003, wave_length_m=0.02, roundness=1.0)
    other = replace(recipe, part_x=-recipe.part_x, sweep=-recipe.sweep)
    grid, mirror_grid = grow(recipe, 0, ground), grow(other, 0, ground)
    mirrored = grid[:, ::-1] * np.array([-1, 1, 1, 1], np.float32)
    away = np.linalg.norm(mirrored[..., :3] - mirror_grid[..., :3], axis=-1)

    assert np.percentile(away, 99) < 1e-3
    assert np.abs(grid - mirror_grid).max() > 0.02


def test_hanging_hair_ends_at_its_hem(ground):
    recipe = replace(EVEN_BOB, tuck=0.0, hem_slope=0.0, frizz=0.0)
    for hem_y in (-0.06, -0.11):
        ends = strands_from_grid(grow(replace(recipe, hem_y=hem_y), 0, ground)).points[:, -1, 1]

        assert ends.min() > hem_y - 0.006
        assert np.median(ends) == pytest.approx(hem_y, abs=0.004)


def test_shaved_sides_leave_their_cells_empty_and_the_top_full(ground):
    grid = grow(replace(STYLES["undercut"].recipe, sides_m=0.0, back_m=0.0), 0, ground)
    y = ground.scalp.roots[..., 1]
    filled = grid.any(axis=(2, 3))

    assert not filled[y < 0.05].any()
    assert filled[(y > 0.10) & ground.scalp.growable].all()


def test_a_receding_hairline_starts_at_the_temples(ground):
    full = grow(replace(STYLES["buzz"].recipe, recession=0.0), 0, ground).any(axis=(2, 3))
    high = grow(replace(STYLES["buzz"].recipe, recession=1.0), 0, ground).any(axis=(2, 3))
    lost = full & ~high

    assert lost.sum() > 30
    assert ground.scalp.roots[lost][:, 2].min() > 0
    assert not (high & ~full).any()


@pytest.mark.parametrize("tie", ["ponytail", "pigtails", "bun"])
def test_all_tied_strands_pass_through_a_tie(ground, tie):
    name = tie if tie in STYLES else "ponytail"
    recipe = replace(STYLES[name].recipe, tie=tie, wave_m=0.0, frizz=0.0, irregular=0.0)
    points = strands_from_grid(grow(recipe, 0, ground)).points
    knots = np.array([knot.knot for knot in _ties(recipe, ground.field)])
    away = np.linalg.norm(points[:, None] - knots[:, None], axis=-1).min(axis=2)

    assert len(knots) == (2 if tie == "pigtails" else 1)
    assert away.min(axis=1).max() < RING_M + 0.004


def test_longer_tails_hang_lower(ground):
    recipe = STYLES["ponytail"].recipe
    lowest = [
        grow(replace(recipe, tail_m=tail_m), 0, ground)[..., 1].min() for tail_m in (0.15, 0.25)
    ]

    assert lowest[0] - lowest[1] == pytest.approx(0.10, abs=0.02)


def test_a_corkscrew_keeps_its_radius_and_turns_as_often_as_it_must():
    line = np.zeros((2, 400, 3))
    line[..., 1] = -np.linspace(0, 0.2, 400)
    ones = np.ones(2)
    curl = wound(line, np.full((2, 400), 0.004), 0.02 * ones, 0 * ones, 0 * ones, 1.0, ones)
    angle = np.unwrap(np.arctan2(curl[..., 2], curl[..., 0]))

    np.testing.assert_allclose(np.hypot(curl[..., 0], curl[..., 2]), 0.004, atol=1e-6)
    np.testing.assert_allclose(np.abs(angle[:, -1] - angle[:, 0]), 20 * np.pi, rtol=1e-6)
    np.testing.assert_allclose(curl[..., 1], line[..., 1], atol=1e-9)


def test_a_flat_wave_stays_in_a_plane_and_no_wave_changes_nothing():
    line = np.zeros((1, 100, 3))
    line[..., 1] = -np.linspace(0, 0.2, 100)
    still = np.zeros(1)
    wave = wound(line, np.full((1, 100), 0.004), still + 0.05, still, still, 0.0, still + 1)

    assert np.linalg.matrix_rank(wave[0] - wave[0].mean(axis=0), tol=1e-6) == 2
    np.testing.assert_array_equal(
        wound(line, np.zeros((1, 100)), still + 0.05, still, still, 0.0, still + 1), line
    )


def test_cutting_keeps_the_beginning_and_evening_makes_steps_equal():
    turn = np.linspace(0, np.pi, 200)
    arc = 0.1 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=-1)[None]
    half = cut_to(arc, 0.05 * np.pi, 51)
    uneven = arc[:, (np.linspace(0, 1, 100) ** 2 * 199).astype(int)]
    steps = np.linalg.norm(np.diff(evened(uneven), axis=1), axis=2)

    np.testing.assert_allclose(half[0, -1], [0, 0.1, 0], atol=1e-4)
    np.testing.assert_array_equal(half[0, 0], arc[0, 0])
    assert np.ptp(steps) < 1e-9


def test_draws_stay_in_range_differ_and_come_again_with_the_seed():
    recipes = [draw_recipe(np.random.default_rng(seed)) for seed in range(300)]

    assert {recipe.tie for recipe in recipes} == set(TIES)
    assert len(set(recipes)) == 300
    assert draw_recipe(np.random.default_rng(7)) == recipes[7]
    for name, (low, high) in RANGES.items():
        values = [getattr(recipe, name) for recipe in recipes]
        assert low <= min(values) <= max(values) <= high, name
    parted = [recipe.part_x > 0 for recipe in recipes if recipe.part_x != 0]
    assert np.mean(parted) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tie": "plait"}, "must be one of loose, ponytail"),
        ({"top_m": 3.0}, "top_m is 3.0; it must be 0.002 to 0.6"),
        ({"frizz": float("nan")}, "frizz is nan"),
    ],
    ids=["unknown tie", "too long", "not a number"],
)
def test_a_recipe_says_what_it_does_not_take(change, reason):
    with pytest.raises(ValueError, match=reason):
        HairstyleRecipe(**change)
