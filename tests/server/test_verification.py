# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.verification import cosine_similarity, is_match


def embeddings(seed, count=64):
    return np.random.default_rng(seed).standard_normal((count, 512)).astype(np.float32)


def test_similarity_is_one_with_itself_and_minus_one_with_its_opposite():
    a = embeddings(0)

    np.testing.assert_allclose(cosine_similarity(a, a), 1, atol=1e-7)
    np.testing.assert_allclose(cosine_similarity(a, -a), -1, atol=1e-7)


def test_similarity_is_symmetric_and_invariant_to_positive_scale():
    a, b = embeddings(1), embeddings(2)
    scales = np.random.default_rng(3).uniform(1e-3, 1e3, (64, 1)).astype(np.float32)

    np.testing.assert_array_equal(cosine_similarity(a, b), cosine_similarity(b, a))
    np.testing.assert_allclose(cosine_similarity(a * scales, b), cosine_similarity(a, b), atol=1e-6)


def test_permuting_pairs_permutes_similarities():
    a, b = embeddings(4), embeddings(5)
    order = np.random.default_rng(6).permutation(64)

    np.testing.assert_array_equal(
        cosine_similarity(a[order], b[order]), cosine_similarity(a, b)[order]
    )


@pytest.mark.parametrize("poison", [np.nan, np.inf, 0.0], ids=["nan", "inf", "zero"])
def test_an_unusable_embedding_matches_nothing_under_any_threshold(poison):
    bad = np.full((1, 512), poison, np.float32)

    similarity = cosine_similarity(bad, bad)

    assert np.isnan(similarity).all()
    assert not is_match(similarity, -1.0).any()


def test_the_threshold_itself_is_a_match():
    assert is_match(np.array([0.35], np.float32), 0.35).all()
