# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from bench.morphface.recall import are_covered


def covered_one_by_one(real, generated, k):
    """Equation 12, read aloud."""
    answers = []
    for v in real:
        is_covered = False
        for j, centre in enumerate(generated):
            others = sorted(
                np.sqrt(sum((a - b) ** 2 for a, b in zip(centre, other, strict=True)))
                for i, other in enumerate(generated)
                if i != j
            )
            if np.sqrt(sum((a - b) ** 2 for a, b in zip(v, centre, strict=True))) < others[k - 1]:
                is_covered = True
        answers.append(is_covered)
    return answers


@pytest.mark.parametrize("k", [1, 3, 7])
def test_recall_is_what_two_loops_over_all_pairs_find(k):
    rng = np.random.default_rng(k)
    generated = rng.normal(size=(12, 3))
    real = 1.5 * rng.normal(size=(40, 3))

    covered = are_covered(real, generated, k)

    assert covered.tolist() == covered_one_by_one(real, generated, k)
    assert 0 < covered.mean() < 1


def test_identical_sets_are_covered_and_sets_far_apart_are_not():
    points = np.random.default_rng(0).normal(size=(20, 5))

    assert are_covered(points, points).all()
    assert not are_covered(points + 100, points).any()


def test_a_picture_reaches_as_far_as_its_k_th_neighbour_and_not_there():
    generated = np.array([[0.0], [1.0], [3.0]])  # radii for k = 1: 1, 1, 2

    covered = are_covered(np.array([[-0.99], [-1.0], [4.99], [5.0]]), generated, k=1)

    assert covered.tolist() == [True, False, True, False]


def test_pictures_that_are_all_alike_cover_nothing():
    assert not are_covered(np.zeros((3, 4)), np.zeros((8, 4))).any()


def test_recall_does_not_depend_on_order_place_turn_or_scale():
    rng = np.random.default_rng(1)
    real, generated = rng.normal(size=(50, 4)), rng.normal(size=(15, 4))
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    order = rng.permutation(15)

    covered = are_covered(real, generated)

    moved = are_covered(7 * real @ turn + 3, (7 * generated @ turn + 3)[order])
    assert (moved == covered).all()


def test_more_neighbours_and_a_wider_spread_cover_more():
    rng = np.random.default_rng(2)
    real, generated = rng.normal(size=(200, 3)), 0.5 * rng.normal(size=(12, 3))

    shares = [are_covered(real, generated, k).mean() for k in (1, 3, 6)]
    wider = are_covered(real, 1.5 * generated, 3).mean()

    assert shares[0] < shares[1] < shares[2]
    assert wider > shares[1]


@pytest.mark.parametrize(
    ("real", "generated", "k", "reason"),
    [
        ((5, 2), (3, 2), 3, "from 1 to one less"),
        ((5, 2), (3, 2), 0, "from 1 to one less"),
        ((5, 2), (6, 3), 3, r"expected \(R, D\)"),
    ],
    ids=["too few", "no neighbour", "other features"],
)
def test_what_cannot_be_compared_is_refused(real, generated, k, reason):
    with pytest.raises(ValueError, match=reason):
        are_covered(np.zeros(real), np.zeros(generated), k)
