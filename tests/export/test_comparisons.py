# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from mien_export.comparisons import compare_images
from mien_export.errors import CalibrationError

IDENTITIES = np.array([0, 0, 0, 1, 2, 2, 1, 3], np.int32)
EMBEDDINGS = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)


def compare(embeddings=EMBEDDINGS, identities=IDENTITIES, max_nonmated=10**9, seed=0):
    return compare_images(embeddings, identities, max_nonmated=max_nonmated, seed=seed)


def as_multisets(comparisons):
    mated = sorted(zip(comparisons.mated_identity, comparisons.mated.round(5), strict=True))
    nonmated = sorted(
        (*pair, similarity)
        for pair, similarity in zip(
            comparisons.nonmated_identities.tolist(), comparisons.nonmated.round(5), strict=True
        )
    )
    return mated, nonmated


def test_every_pair_is_compared_once_with_its_cosine():
    comparisons = compare()

    mated, nonmated = [], []
    for i, j in itertools.combinations(range(8), 2):
        a, b = EMBEDDINGS[i].astype(float), EMBEDDINGS[j].astype(float)
        cosine = np.float32(a @ b / np.linalg.norm(a) / np.linalg.norm(b)).round(5)
        one, other = sorted((int(IDENTITIES[i]), int(IDENTITIES[j])))
        if one == other:
            mated.append((one, cosine))
        else:
            nonmated.append((one, other, cosine))
    found_mated, found_nonmated = as_multisets(comparisons)
    np.testing.assert_allclose(found_mated, sorted(mated), atol=1e-4)
    np.testing.assert_allclose(found_nonmated, sorted(nonmated), atol=1e-4)
    assert (len(comparisons.mated), len(comparisons.nonmated)) == (5, 23)
    assert comparisons.nonmated_available == 23
    assert comparisons.identity_pair_count == 6
    assert comparisons.mated_identity_count == 3
    assert comparisons.identity_count == 4


def test_the_order_of_images_does_not_matter():
    order = np.random.default_rng(1).permutation(8)

    shuffled = compare(EMBEDDINGS[order], IDENTITIES[order])

    for found, expected in zip(as_multisets(shuffled), as_multisets(compare()), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_length_of_an_embedding_does_not_matter():
    scales = np.random.default_rng(2).uniform(0.1, 10, (8, 1)).astype(np.float32)

    np.testing.assert_allclose(compare(EMBEDDINGS * scales).mated, compare().mated, atol=1e-6)


@pytest.mark.parametrize("count", [1, 7, 22])
def test_a_sample_holds_different_pairs_and_is_seeded(count):
    sample, again = compare(max_nonmated=count), compare(max_nonmated=count)

    np.testing.assert_array_equal(sample.nonmated, again.nonmated)
    assert len(sample.nonmated) == count
    assert len(np.unique(sample.nonmated)) == count
    assert set(sample.nonmated.tolist()) <= set(compare().nonmated.tolist())
    assert sample.nonmated_available == 23
    np.testing.assert_array_equal(sample.mated, compare().mated)


def test_a_sample_is_uniform_over_the_pairs():
    pairs = dict.fromkeys(compare().nonmated.tolist(), 0)
    for seed in range(2000):
        for value in compare(max_nonmated=5, seed=seed).nonmated.tolist():
            pairs[value] += 1

    counts = np.array(list(pairs.values()))
    expected = 2000 * 5 / 23
    assert ((counts - expected) ** 2 / expected).sum() < 50  # chi-squared of 22 degrees, 0.9994


@pytest.mark.parametrize(
    ("identities", "message"),
    [
        pytest.param([0] * 8, "of one identity; a false match needs two", id="one identity"),
        pytest.param(range(8), "each of the 8 identities has one image", id="one image each"),
    ],
)
def test_too_few_people_or_images_are_refused(identities, message):
    with pytest.raises(CalibrationError, match=message):
        compare(identities=np.array(identities, np.int32))


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_an_embedding_without_direction_is_refused(value):
    poisoned = EMBEDDINGS.copy()
    poisoned[3] = value

    with pytest.raises(CalibrationError, match="1 of 8 embeddings"):
        compare(poisoned)
