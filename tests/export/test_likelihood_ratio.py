# SPDX-License-Identifier: Apache-2.0
"""Likelihood ratios against planted ones."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from mien_export.likelihood_ratio import fit_likelihood_ratio


def fit(mated, nonmated, independent_mated=None, independent_nonmated=None):
    return fit_likelihood_ratio(
        np.clip(mated, -1, 1).astype(np.float32),
        np.clip(nonmated, -1, 1).astype(np.float32),
        independent_mated=independent_mated or len(mated),
        independent_nonmated=independent_nonmated or len(nonmated),
    )


def gaussians(mean, mated_deviation, nonmated_deviation, mated=50_000, nonmated=500_000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(mean, mated_deviation, mated), rng.normal(0, nonmated_deviation, nonmated)


def test_a_planted_logistic_model_is_found():
    """Equal spreads: the logarithm of the ratio is a straight line in the similarity."""
    mean, deviation = 0.4, 0.12
    ratio = fit(*gaussians(mean, deviation, deviation))

    similarity = np.linspace(0.0, 0.4, 81)
    planted = (similarity - mean / 2) * mean / deviation**2 / np.log(10)
    np.testing.assert_allclose(ratio(similarity), planted, atol=0.15)


def test_labels_drawn_from_a_logistic_curve_give_its_odds():
    rng = np.random.default_rng(1)
    similarity = rng.uniform(-1, 1, 400_000)
    is_mated = rng.random(len(similarity)) < expit(6 * similarity)
    ratio = fit(similarity[is_mated], similarity[~is_mated])

    # Both classes are equally common, so the odds are the likelihood ratio.
    inner = np.linspace(-0.8, 0.8, 33)
    np.testing.assert_allclose(ratio(inner), 6 * inner / np.log(10), atol=0.15)


def test_a_wide_and_a_narrow_class_are_fitted_at_both_ends():
    """As cosines are: no straight line, so that a logistic regression would be wrong."""
    mean, mated_deviation, nonmated_deviation = 0.5, 0.15, 0.06
    ratio = fit(*gaussians(mean, mated_deviation, nonmated_deviation))

    similarity = np.linspace(0.05, 0.25, 41)
    planted = norm.logpdf(similarity, mean, mated_deviation) - norm.logpdf(
        similarity, 0, nonmated_deviation
    )
    np.testing.assert_allclose(ratio(similarity), planted / np.log(10), atol=0.2)


@pytest.mark.parametrize("independent", [(300, 30_000), (50, 1000), (10_000, 10**6)])
def test_no_ratio_goes_beyond_what_the_number_of_comparisons_supports(independent):
    mated, nonmated = independent
    ratio = fit(*gaussians(0.8, 0.05, 0.05), mated, nonmated)

    # Fully apart: without a bound the ratio would be infinite.
    assert ratio.log10[-1] == pytest.approx(np.log10(nonmated / 3), abs=0.01)
    assert ratio.log10[0] == pytest.approx(np.log10(3 / mated), abs=0.01)


def test_more_similar_is_never_weaker_evidence():
    rng = np.random.default_rng(2)
    for seed in range(20):
        mated, nonmated = gaussians(rng.uniform(0, 0.6), 0.2, 0.1, 200, 2000, seed)
        ratio = fit(mated, nonmated, 50, 400)

        assert (np.diff(ratio.similarity) > 0).all()
        assert (np.diff(ratio.log10) >= 0).all()
        assert len(ratio.similarity) < 60


def test_the_order_and_the_repetition_of_pairs_do_not_matter():
    mated, nonmated = gaussians(0.4, 0.1, 0.1, 2000, 8000)
    rng = np.random.default_rng(3)

    once = fit(mated, nonmated, 100, 1000)

    assert fit(rng.permutation(mated), rng.permutation(nonmated), 100, 1000) == once
    assert fit(np.tile(mated, 3), np.tile(nonmated, 2), 100, 1000) == once


def test_classes_that_do_not_differ_are_no_evidence():
    ratio = fit(*gaussians(0, 0.1, 0.1, 5000, 50_000), 500, 5000)

    assert np.abs(ratio(np.linspace(-0.15, 0.15, 31))).max() < 0.15


def test_swapping_the_classes_turns_the_evidence_around():
    mated, nonmated = gaussians(0.3, 0.1, 0.1, 20_000, 20_000)
    ratio, turned = fit(mated, nonmated), fit(-nonmated, -mated)

    inner = np.linspace(0, 0.3, 31)
    np.testing.assert_allclose(turned(-inner), -ratio(inner), atol=0.1)


def test_the_ratio_is_constant_beyond_its_knots():
    ratio = fit(*gaussians(0.4, 0.1, 0.1))

    assert ratio(np.array([-1.0]))[0] == ratio.log10[0]
    assert ratio(np.array([1.0]))[0] == ratio.log10[-1]
