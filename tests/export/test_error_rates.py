# SPDX-License-Identifier: Apache-2.0
"""FMR and FNMR against planted distributions and against counting."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from mien_export.error_rates import ErrorRates, binomial_bounds
from mien_export.errors import CalibrationError

FMRS = (0.5, 0.1, 1e-2, 1e-3, 1e-4)


def gaussian_similarities(seed, mean, deviation, count):
    drawn = np.random.default_rng(seed).normal(mean, deviation, count)
    return np.clip(drawn, -1, 1).astype(np.float32)


MATED = gaussian_similarities(0, 0.5, 0.1, 40_000)
NONMATED = gaussian_similarities(1, 0.0, 0.1, 400_000)
RATES = ErrorRates(MATED, NONMATED)


def test_rates_are_those_of_counting_and_the_threshold_itself_is_a_match():
    rates = ErrorRates(np.float32([0.1, 0.5, 0.9]), np.float32([-0.5, 0.1, 0.5, 0.5]))

    np.testing.assert_array_equal(rates.fmr([-1, 0.1, 0.5, 0.50001, 1]), [1, 0.75, 0.5, 0, 0])
    np.testing.assert_array_equal(rates.fnmr([-1, 0.1, 0.5, 0.50001, 1]), [0, 0, 1 / 3, 2 / 3, 1])


def test_rates_at_many_thresholds_are_those_of_comparing_every_pair():
    mated, nonmated = MATED[:500], NONMATED[:2000]
    thresholds = np.r_[np.random.default_rng(3).uniform(-1, 1, 100), mated[:50], nonmated[:50]]
    rates = ErrorRates(mated, nonmated)

    reached = nonmated[:, None] >= thresholds.astype(np.float32)
    np.testing.assert_array_equal(rates.fmr(thresholds), reached.mean(axis=0))
    missed = ~(mated[:, None] >= thresholds.astype(np.float32))
    np.testing.assert_array_equal(rates.fnmr(thresholds), missed.mean(axis=0))


@pytest.mark.parametrize("fmr", FMRS)
def test_rates_of_gaussians_are_the_analytic_ones(fmr):
    threshold = RATES.threshold_at_fmr(fmr)

    spread = 4 * np.sqrt(fmr / len(NONMATED))  # of the FMR; the density turns it into similarity
    density = norm.pdf(norm.isf(fmr)) / 0.1
    assert threshold == pytest.approx(0.1 * norm.isf(fmr), abs=spread / density + 1e-6)
    expected = norm.cdf((threshold - 0.5) / 0.1)
    deviation = np.sqrt(expected * (1 - expected) / len(MATED))
    assert float(RATES.fnmr(threshold)) == pytest.approx(expected, abs=4 * deviation + 1e-9)


def test_equal_error_rate_of_two_gaussians_is_the_analytic_one():
    rate, threshold = RATES.equal_error_rate()

    assert rate == pytest.approx(norm.cdf(-2.5), rel=0.05)
    assert threshold == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize("fmr", FMRS)
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_exceeds_its_fmr_and_no_lower_one_keeps_it(seed, fmr):
    nonmated = gaussian_similarities(seed, 0, 0.2, 3001)
    rates = ErrorRates(MATED, nonmated)

    threshold = rates.threshold_at_fmr(fmr)

    assert rates.fmr(threshold) <= fmr
    assert rates.fmr(threshold - 2e-6) > fmr or np.sum(nonmated == np.float32(threshold)) > 1
    assert threshold == round(threshold, 6)


def test_a_wanted_rate_that_is_a_whole_number_of_pairs_is_reached_exactly():
    nonmated = np.linspace(-1, 1, 100, dtype=np.float32)

    for allowed in range(100):
        rates = ErrorRates(MATED, nonmated)
        assert rates.fmr(rates.threshold_at_fmr(allowed / 100)) == allowed / 100


def test_ties_go_to_the_stricter_side():
    """Ten pairs at one similarity cannot be halved: none of them may match."""
    rates = ErrorRates(MATED, np.float32([0.3] * 10 + [0.0] * 90))

    threshold = rates.threshold_at_fmr(0.05)

    assert rates.fmr(threshold) == 0
    assert threshold == pytest.approx(0.3, abs=2e-6)
    assert rates.fmr(rates.threshold_at_fmr(0.1)) == 0.1


def test_a_threshold_just_above_a_similarity_stays_above_it_in_fp32():
    for step in range(2000):
        highest = np.nextafter(np.float32(0.31), np.float32(1)) + np.float32(step * 3e-8)
        rates = ErrorRates(MATED, np.float32([0, highest]))

        assert np.float32(rates.threshold_at_fmr(0.1)) > highest


def test_all_rates_may_be_wanted():
    rates = ErrorRates(MATED, NONMATED)

    assert rates.fmr(rates.threshold_at_fmr(1.0)) == 1
    assert rates.fmr(rates.threshold_at_fmr(1e-9)) == 0


def test_rates_run_monotonically_and_the_order_of_pairs_does_not_matter():
    rng = np.random.default_rng(2)
    thresholds = np.linspace(-1, 1, 2001)
    shuffled = ErrorRates(rng.permutation(MATED), rng.permutation(NONMATED))

    assert (np.diff(RATES.fmr(thresholds)) <= 0).all()
    assert (np.diff(RATES.fnmr(thresholds)) >= 0).all()
    np.testing.assert_array_equal(shuffled.fmr(thresholds), RATES.fmr(thresholds))
    np.testing.assert_array_equal(shuffled.fnmr(thresholds), RATES.fnmr(thresholds))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_similarity_is_refused(value):
    with pytest.raises(CalibrationError, match="1 of them no numbers"):
        ErrorRates(MATED, np.float32([0.5, value]))


def test_no_pairs_are_refused():
    with pytest.raises(CalibrationError, match="0 mated similarities"):
        ErrorRates(MATED[:0], NONMATED)


@pytest.mark.parametrize(("errors", "trials"), [(1, 10), (5, 100), (50, 100), (99, 100)])
def test_binomial_bounds_are_where_the_tails_hold_what_they_should(errors, trials):
    bounds = binomial_bounds(errors, trials)

    assert binom.sf(errors - 1, trials, bounds.low) == pytest.approx(0.025)
    assert binom.cdf(errors, trials, bounds.high) == pytest.approx(0.025)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_binomial_bounds_cover_at_least_as_often_as_stated(rate):
    """Summed over every outcome: no chance in it."""
    outcomes = range(501)
    covered = [
        bounds.low <= rate <= bounds.high
        for bounds in (binomial_bounds(errors, 500) for errors in outcomes)
    ]

    coverage = binom.pmf(outcomes, 500, rate)[covered].sum()

    assert 0.95 <= coverage <= 0.99


@pytest.mark.parametrize("trials", [30, 1000, 10**6])
def test_where_nothing_or_everything_errs_the_rule_of_three_holds(trials):
    nothing, everything = binomial_bounds(0, trials), binomial_bounds(trials, trials)

    assert nothing.low == 0
    assert nothing.high == pytest.approx(3 / trials, rel=0.06)
    assert binom.pmf(0, trials, nothing.high) == pytest.approx(0.05)
    assert (1 - everything.high, 1 - everything.low) == pytest.approx((0, nothing.high))
