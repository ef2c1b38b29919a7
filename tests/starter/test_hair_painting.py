# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_starter.hair_painting import painted_hair, with_fringe
from mien_starter.world.masks import BACKGROUND, BODY, HAIR

SIDE, BROWS_Y, NOSE_Y = 256, 110.0, 140.0


def landmarks():
    """All in the middle but for brows and the base of the nose."""
    points = np.full((68, 2), 128.0)
    points[17:27] = np.column_stack([np.linspace(100, 156, 10), np.full(10, BROWS_Y)])
    points[33] = (128, NOSE_Y)
    return points


def head():
    """Body from a forehead of 40 pixels down, hair above it, background about both."""
    classes = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
    classes[40:70, 70:186] = HAIR
    classes[70:230, 80:176] = BODY
    return classes


@pytest.mark.parametrize("seed", range(8))
def test_a_fringe_covers_forehead_and_nothing_else(seed):
    before = head()
    after = with_fringe(before, landmarks(), np.random.default_rng(seed))
    changed = before != after

    assert (before[changed] == BODY).all()
    assert (after[changed] == HAIR).all()
    assert np.flatnonzero(changed.any(axis=1)).max(initial=0) < NOSE_Y


def test_fringes_are_of_many_lengths():
    covered = [
        (with_fringe(head(), landmarks(), np.random.default_rng(seed)) != head()).sum()
        for seed in range(40)
    ]

    assert min(covered) < 0.6 * max(covered)
    assert np.median(covered) > 300


def test_only_hair_is_painted_but_for_a_soft_edge():
    generator = np.random.default_rng(0)
    crop = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    painted = painted_hair(crop, head(), generator)
    far = np.ones((SIDE, SIDE), bool)
    far[34:76, 64:192] = False

    np.testing.assert_array_equal(painted[far], crop[far])
    inside = painted[46:64, 76:180].astype(int) - crop[46:64, 76:180]
    assert np.abs(inside).mean() > 20


def test_painted_hair_has_the_light_and_dark_of_many_colours():
    crop = np.full((SIDE, SIDE, 3), 128, np.uint8)
    means = np.array(
        [
            painted_hair(crop, head(), np.random.default_rng(seed))[46:64, 76:180].mean(axis=(0, 1))
            for seed in range(40)
        ]
    )

    assert means.mean(axis=1).min() < 50
    assert means.mean(axis=1).max() > 150
    assert (means[:, 0] > means[:, 2] - 12).all()  # hair is not blue
    again = painted_hair(crop, head(), np.random.default_rng(3))
    np.testing.assert_array_equal(again, painted_hair(crop, head(), np.random.default_rng(3)))


def test_a_bald_head_stays_as_it_is():
    crop = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    bald = np.where(head() == HAIR, BODY, head()).astype(np.uint8)

    np.testing.assert_array_equal(painted_hair(crop, bald, np.random.default_rng(1)), crop)
