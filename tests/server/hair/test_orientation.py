# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.orientation import (
    BACKGROUND,
    BODY,
    HAIR,
    decoded_map,
    encoded_map,
    hair_orientation,
)
from mien_server.hair.orientation_filling import HANGING, filled, pointed
from mien_server.hair.orientation_filters import find_lines

SIDE = 256
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] + 0.5
DISC = np.hypot(COLUMNS - 128, ROWS - 128) < 90
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def stripes(angle_deg, period_px=6.0, noise=0.0, seed=0, side=SIDE):
    """(side, side, 3) lines that run at an angle, counter-clockwise from the right."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    angle = np.deg2rad(angle_deg)
    across = columns * np.sin(angle) + rows * np.cos(angle)
    values = np.sin(2 * np.pi * across / period_px)
    values = values + noise * np.random.default_rng(seed).standard_normal(values.shape)
    return painted(128 + 40 * values)


def painted(values):
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def apart_deg(found_rad, truth_rad):
    """Degrees between two lines, which have no sense."""
    off = np.abs(found_rad - truth_rad) % np.pi
    return np.rad2deg(np.minimum(off, np.pi - off))


def doubled(angle_rad):
    return np.stack([np.cos(2 * angle_rad), np.sin(2 * angle_rad)], axis=-1).astype(np.float32)


@pytest.mark.parametrize("period_px", [3.0, 5.0, 8.0])
@pytest.mark.parametrize("angle_deg", [0, 17, 45, 90, 101, 163])
def test_planted_stripes_come_back_within_two_degrees(angle_deg, period_px):
    image = stripes(angle_deg, period_px, noise=0.3)
    angles, hair, _ = decoded_map(hair_orientation(image, DISC, ~DISC).map_rgb)

    assert np.array_equal(hair, DISC)
    assert apart_deg(angles[DISC], np.deg2rad(angle_deg)).mean() < 2


@pytest.mark.parametrize("angle_deg", [31, 118])
def test_a_crop_twice_as_large_as_its_masks_tells_finer_lines(angle_deg):
    image = stripes(angle_deg, period_px=3.0, noise=0.5, side=2 * SIDE)
    found = hair_orientation(image, DISC, ~DISC)
    angles, hair, _ = decoded_map(found.map_rgb)

    assert np.array_equal(hair, DISC)
    assert apart_deg(angles[DISC], np.deg2rad(angle_deg)).mean() < 2
    assert found.confidence.shape == (SIDE, SIDE)
    assert (found.confidence[~DISC] == 0).all()


@pytest.mark.parametrize("angle_deg", [20, 75, 140])
def test_highlights_that_run_across_hair_are_no_strands(angle_deg):
    """Faint lines under a bright band at a right angle to them, as on sleek hair."""
    faint = (stripes(angle_deg, period_px=4.0).astype(float)[..., 0] - 128) / 5
    angle = np.deg2rad(angle_deg)
    along = (COLUMNS - 128) * np.cos(angle) - (ROWS - 128) * np.sin(angle)
    image = painted(50 + 0.5 * faint + 150 * np.exp(-((along / 9) ** 2)))
    angles, *_ = decoded_map(hair_orientation(image, DISC, ~DISC).map_rgb)

    assert apart_deg(angles[DISC], angle).mean() < 6


def test_lines_of_every_direction_are_found_at_once_and_between_the_filters():
    """Circles about the middle; the bank knows 32 directions."""
    radius = np.hypot(COLUMNS - 128, ROWS - 128)
    ring = (radius > 30) & (radius < 110)
    image = painted(128 + 40 * np.sin(2 * np.pi * radius / 5))
    angles, *_ = decoded_map(hair_orientation(image, ring, ~ring).map_rgb)
    truth = np.arctan2(128 - ROWS, COLUMNS - 128) + np.pi / 2

    assert apart_deg(angles[ring], truth[ring]).mean() < 2
    assert np.percentile(apart_deg(angles[ring], truth[ring]), 99) < 6


def test_a_turned_photograph_has_turned_directions():
    rng = np.random.default_rng(1)
    image = stripes(23, 4.0) // 2 + painted(rng.uniform(0, 60, (SIDE, SIDE)))
    hair = np.hypot(COLUMNS - 110, ROWS - 140) < 70
    upright = hair_orientation(image, hair, ~hair)
    turned = hair_orientation(np.rot90(image).copy(), np.rot90(hair).copy(), np.rot90(~hair))
    before, after = (decoded_map(found.map_rgb)[0] for found in (upright, turned))

    # rot90 turns counter-clockwise; what was known of a pixel is known of it still.
    off = apart_deg(after, np.rot90(before) + np.pi / 2)[np.rot90(hair)]
    assert off.mean() < 1
    np.testing.assert_allclose(turned.confidence, np.rot90(upright.confidence), atol=0.02)


def test_brightness_and_contrast_do_not_count():
    dim = (stripes(60, noise=0.5).astype(int) // 4 + 10).astype(np.uint8)
    one, other = (
        decoded_map(hair_orientation(image, DISC, ~DISC).map_rgb)[0]
        for image in (stripes(60, noise=0.5), dim)
    )

    assert apart_deg(one, other)[DISC].mean() < 1


def test_the_outline_of_hair_is_no_strand():
    """Level lines in a standing bar before a white wall: its edges are the strongest lines."""
    bar = np.abs(COLUMNS - 128) < 10
    image = np.where(bar[..., None], stripes(0) // 2, np.uint8(255))
    angles, *_ = decoded_map(hair_orientation(image, bar, ~bar).map_rgb)

    assert apart_deg(angles[bar], 0.0).mean() < 3


def test_outside_the_hair_there_is_nothing():
    found = hair_orientation(stripes(30), DISC, EVERYWHERE)

    assert (found.map_rgb[~DISC] == (BODY, 0, 0)).all()
    assert (found.map_rgb[DISC][:, 0] == HAIR).all()
    assert (found.confidence[~DISC] == 0).all()
    assert (found.directions[~DISC] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.directions[DISC], axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "colour"),
    [
        (1, 0, (255, 0, 255)),
        (-1, 0, (255, 0, 255)),  # of a level line the sense to the right
        (0, 1, (255, 255, 128)),
        (0, -1, (255, 255, 128)),  # green has no sign: up stands for both
        (0.6, 0.8, (255, 204, 204)),
        (-0.6, 0.8, (255, 204, 51)),
        (0.6, -0.8, (255, 204, 51)),
    ],
)
def test_directions_have_hairnets_colours(x, y, colour):
    angle = np.full((1, 3), np.arctan2(y, x))
    hair, body = np.array([[True, False, False]]), np.array([[True, True, False]])
    found = encoded_map(angle, hair, body)

    assert tuple(found[0, 0]) == colour
    assert tuple(found[0, 1]) == (BODY, 0, 0)
    assert tuple(found[0, 2]) == (BACKGROUND, 0, 0)


def test_a_map_comes_back_from_its_colours():
    rng = np.random.default_rng(2)
    angles = rng.uniform(-np.pi, np.pi, (64, 64))
    kind = rng.integers(0, 3, (64, 64))
    back, hair, body = decoded_map(encoded_map(angles, kind == 2, kind >= 1))

    assert np.array_equal(hair, kind == 2)
    assert np.array_equal(body, kind == 1)
    assert apart_deg(back, angles)[hair].max() < 0.5
    assert back.min() >= 0
    assert back.max() < np.pi


def test_likelihoods_are_taken_at_a_half():
    likely = np.where(DISC, 0.51, 0.49).astype(np.float32)
    found = hair_orientation(stripes(30), likely, 1 - likely)

    assert np.array_equal(found.map_rgb, hair_orientation(stripes(30), DISC, ~DISC).map_rgb)


def test_a_head_without_hair_has_a_map_without_hair():
    found = hair_orientation(stripes(30), ~EVERYWHERE, DISC)

    assert np.array_equal(found.map_rgb[..., 0] == BODY, DISC)
    assert not found.map_rgb[..., 1:].any()
    assert not found.confidence.any()
    assert not found.directions.any()


def test_hair_without_any_line_hangs():
    found = hair_orientation(np.full((SIDE, SIDE, 3), 90, np.uint8), DISC, ~DISC)

    assert (found.map_rgb[DISC] == (255, 255, 128)).all()
    assert found.confidence.max() < 0.01


def test_noise_is_trusted_less_than_lines():
    noise = painted(np.random.default_rng(3).uniform(0, 255, (SIDE, SIDE)))

    assert np.median(find_lines(noise, DISC).confidence[DISC]) < 0.35
    assert np.median(find_lines(stripes(40), DISC).confidence[DISC]) > 0.75


def test_what_is_trusted_stays_and_fills_the_rest():
    angle = np.deg2rad(70)
    trusted = DISC & (COLUMNS < 100)
    planted = np.where(trusted[..., None], doubled(angle), doubled(np.deg2rad(10)))
    result = filled(planted.astype(np.float32), trusted.astype(np.float32), DISC)

    np.testing.assert_allclose(result[DISC], np.broadcast_to(doubled(angle), (DISC.sum(), 2)),
                               atol=1e-5)  # fmt: skip
    assert not result[~DISC].any()


def test_between_two_directions_the_rest_turns_evenly():
    left, right = EVERYWHERE & (COLUMNS < 100), EVERYWHERE & (COLUMNS > 156)
    planted = np.where(left[..., None], doubled(np.deg2rad(30)), doubled(np.deg2rad(70)))
    known = (left | right).astype(np.float32)
    result = filled(planted.astype(np.float32), known, EVERYWHERE)
    angles = np.rad2deg(np.arctan2(result[..., 1], result[..., 0]) / 2)

    assert (np.diff(angles[128, 95:160]) > -0.1).all()
    assert abs(angles[128, 127:129].mean() - 50) < 2


def test_nothing_trusted_anywhere_hangs():
    result = filled(np.zeros((SIDE, SIDE, 2), np.float32), np.zeros((SIDE, SIDE)), DISC)

    assert (result[DISC] == HANGING).all()


def test_strands_lead_away_from_the_crown_and_down():
    crown = (128.0, 40.0)
    from_crown = np.stack([COLUMNS - crown[0], crown[1] - ROWS], axis=-1)
    # Lines that radiate from the crown: below it and beside it, outwards is the sense.
    lines = doubled(np.arctan2(from_crown[..., 1], from_crown[..., 0]))
    hair = EVERYWHERE & (np.linalg.norm(from_crown, axis=-1) > 8)
    directions = pointed(lines, hair, crown)
    outwards = (directions * from_crown).sum(axis=-1)

    assert (outwards[hair & (crown[1] < ROWS)] > 0).all()
    # A vertical line is hair that hangs, wherever it is beside the crown.
    hanging = pointed(np.broadcast_to(HANGING, (SIDE, SIDE, 2)), EVERYWHERE, crown)
    assert (hanging[crown[1] < ROWS][:, 1] < -0.99).all()


def test_neighbours_agree_where_the_rule_is_undecided():
    """Beneath the crown, lines a few degrees off the level lean to either side by chance."""
    lock = DISC & (np.abs(ROWS - 150) < 12) & (np.abs(COLUMNS - 128) < 12)
    tilt = np.deg2rad(np.random.default_rng(4).normal(0, 3, (SIDE, SIDE)))
    directions = pointed(doubled(tilt), lock, (128.0, 40.0))
    rows = directions[140:160, 118:138, 0]

    assert (np.abs(rows) > 0.9).all()
    assert (rows[:, 1:] * rows[:, :-1] < 0).mean() < 0.1


def test_shapes_that_do_not_belong_together_are_refused():
    for image in (stripes(0)[1:], stripes(0, side=SIDE + SIDE // 2), stripes(0)[..., :2]):
        with pytest.raises(ValueError, match=r"expected uint8 \(k H, k W, 3\)"):
            hair_orientation(image, DISC, DISC)
    with pytest.raises(ValueError, match="expected uint8"):
        hair_orientation(stripes(0).astype(np.float32), DISC, DISC)
    with pytest.raises(ValueError, match="expected one shape"):
        encoded_map(np.zeros((4, 4)), np.zeros((4, 4), bool), np.zeros((4, 5), bool))
