# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.orientation_masks import person_masks


def planted(*boxes):
    """(2, 64, 64) probabilities: 0.9 in (channel, rows, columns), 0.05 elsewhere."""
    masks = np.full((2, 64, 64), 0.05, np.float32)
    for channel, rows, columns in boxes:
        masks[channel, rows, columns] = 0.9
    return masks


def test_only_the_largest_piece_of_hair_and_body_together_is_kept():
    head = [(0, slice(5, 15), slice(20, 44)), (1, slice(15, 50), slice(22, 42))]
    others = [(0, slice(30, 60), slice(0, 4)), (1, slice(0, 9), slice(55, 64))]
    hair, body = person_masks(planted(*head, *others))
    alone = person_masks(planted(*head))

    assert np.array_equal(hair, alone[0])
    assert np.array_equal(body, alone[1])
    assert (hair.sum(), body.sum()) == (10 * 24, 35 * 20)


def test_hair_that_hangs_by_a_pixel_stays():
    lock = (0, slice(14, 60), slice(44, 45))  # meets the hair at a corner
    hair, _ = person_masks(planted((0, slice(5, 14), slice(20, 44)), lock))

    assert hair[59, 44]


def test_a_pixel_is_what_is_likelier_and_never_both():
    masks = np.full((2, 8, 8), 0.6, np.float32)
    masks[0, :4] = 0.7
    masks[1, 4:] = 0.8
    hair, body = person_masks(masks)

    assert np.array_equal(hair, np.arange(8)[:, None].repeat(8, axis=1) < 4)
    assert np.array_equal(body, ~hair)


def test_nobody_is_nothing():
    hair, body = person_masks(planted())

    assert not hair.any()
    assert not body.any()


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected \(2, H, W\)"):
        person_masks(np.zeros((3, 8, 8), np.float32))
