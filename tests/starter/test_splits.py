# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from mien_starter.splits import SPLITS, identities, split_of


def test_nobody_is_in_two_splits_and_nobody_in_none():
    everybody = sorted(itertools.chain.from_iterable(SPLITS.values()))

    assert everybody == list(range(len(everybody)))


def test_splits_never_move():
    assert dict(SPLITS) == {
        "train": range(100_000),
        "calibrate": range(100_000, 110_000),
        "held_out": range(110_000, 120_000),
    }


@pytest.mark.parametrize("split", SPLITS)
def test_everybody_asked_for_is_of_that_split(split):
    people = identities(split, 7, first=3)

    assert len(set(people)) == 7
    assert people[0] == SPLITS[split][3]
    assert {split_of(person) for person in people} == {split}
    assert {split_of(SPLITS[split][0]), split_of(SPLITS[split][-1])} == {split}


@pytest.mark.parametrize("identity", [-1, 120_000])
def test_a_number_of_nobody_is_refused(identity):
    with pytest.raises(ValueError, match="from 0 to 119999"):
        split_of(identity)


@pytest.mark.parametrize(
    ("split", "count", "first", "reason"),
    [
        ("test", 1, 0, "train, calibrate, held_out"),
        ("held_out", 10_001, 0, "0 to 9999"),
        ("held_out", 1, 10_000, "0 to 9999"),
        ("held_out", -1, 0, "0 to 9999"),
        ("held_out", 1, -1, "0 to 9999"),
    ],
    ids=["no such split", "too many", "past the end", "negative count", "negative first"],
)
def test_people_who_are_not_there_are_refused(split, count, first, reason):
    with pytest.raises(ValueError, match=reason):
        identities(split, count, first)


def test_the_last_person_of_a_split_can_be_asked_for():
    assert list(identities("calibrate", 1, 9_999)) == [109_999]
    assert len(identities("train", 0)) == 0
