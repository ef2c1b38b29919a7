# SPDX-License-Identifier: Apache-2.0
"""Bounds of error rates where pairs share people, against planted populations."""

import numpy as np
import pytest

from mien_export.comparisons import Comparisons
from mien_export.error_rates import ErrorRates, binomial_bounds
from mien_export.identity_bootstrap import (
    independent_comparisons,
    resample_identities,
    resampled_bounds,
)

from .planted_people import compare_people, true_rates

THRESHOLDS = np.array([0.3, 0.5, 0.65])
TRIALS = 200


@pytest.fixture(scope="module")
def trials():
    """Bounds from many small studies of the same population."""
    rng = np.random.default_rng(0)
    return [measure_once(compare_people(rng, 60, 4), seed) for seed in range(TRIALS)]


def measure_once(comparisons, seed):
    rates = ErrorRates(comparisons.mated, comparisons.nonmated)
    resampled = resample_identities(comparisons, THRESHOLDS, resamples=200, seed=seed)
    mated, nonmated = len(comparisons.mated), len(comparisons.nonmated)
    study = []
    for index, threshold in enumerate(THRESHOLDS):
        fmr, fnmr = float(rates.fmr(threshold)), float(rates.fnmr(threshold))
        of_pairs = {"pairs": nonmated, "units": comparisons.identity_pair_count}
        study.append(
            {
                "fmr": resampled_bounds(fmr, resampled.fmr[:, index], **of_pairs),
                "fnmr": resampled_bounds(fnmr, resampled.fnmr[:, index], pairs=mated, units=60),
                "fmr if independent": binomial_bounds(fmr * nonmated, nonmated),
                "fnmr if independent": binomial_bounds(fnmr * mated, mated),
                "worth": independent_comparisons(fmr, resampled.fmr[:, index], **of_pairs),
            }
        )
    return study


@pytest.mark.parametrize("index", range(len(THRESHOLDS)))
def test_bounds_hold_the_truth_as_often_as_stated_though_pairs_share_people(trials, index):
    fmr, fnmr = true_rates(THRESHOLDS[index])

    def coverage(name, rate):
        return np.mean([t[index][name].low <= rate <= t[index][name].high for t in trials])

    # 200 trials of 0.95 give 0.905 or less once in 200.
    assert coverage("fmr", fmr) >= 0.95
    assert 0.905 <= coverage("fnmr", fnmr) <= 0.99
    # What takes pairs for independent holds it far less often: that is why people are resampled.
    assert coverage("fmr if independent", fmr) < 0.8
    assert coverage("fnmr if independent", fnmr) < 0.85


def test_pairs_that_share_people_are_worth_fewer_comparisons_than_they_are(trials):
    worth = np.array([[point["worth"] for point in study] for study in trials])

    assert (worth < 60 * 59 / 2 * 16).all()
    assert (np.median(worth, axis=0) > 60).all()
    # The looser the threshold, the more it is the same people who match.
    assert (np.diff(np.median(worth, axis=0)) > 0).all()


def make_comparisons(nonmated, pairs, mated=(0.5, 0.5), owners=(0, 1), people=3):
    return Comparisons(
        mated=np.float32(mated),
        mated_identity=np.array(owners, np.int32),
        nonmated=np.float32(nonmated),
        nonmated_identities=np.array(pairs, np.int32),
        identity_count=people,
        nonmated_available=len(nonmated),
    )


def test_a_resample_is_what_repeating_its_people_gives():
    """One resample by hand, with the same draw."""
    rng = np.random.default_rng(4)
    comparisons = compare_people(rng, 7, 3)

    resampled = resample_identities(comparisons, THRESHOLDS, resamples=20, seed=9)

    draws = np.random.default_rng(9)
    for index in range(20):
        drawn = draws.integers(0, 7, 7)
        errors, pairs = np.zeros(3), 0
        for place, one in enumerate(drawn):
            for other in drawn[place + 1 :]:
                owners = sorted((one, other))
                ours = (comparisons.nonmated_identities == owners).all(axis=1)
                errors += (comparisons.nonmated[ours, None] >= THRESHOLDS).sum(axis=0)
                pairs += ours.sum()
        np.testing.assert_allclose(resampled.fmr[index], errors / pairs)
        missed = [
            comparisons.mated[comparisons.mated_identity == one, None] < THRESHOLDS for one in drawn
        ]
        np.testing.assert_allclose(resampled.fnmr[index], np.concatenate(missed).mean(axis=0))


def test_the_mean_of_resamples_is_the_rate():
    comparisons = compare_people(np.random.default_rng(5), 80, 3)
    rates = ErrorRates(comparisons.mated, comparisons.nonmated)

    resampled = resample_identities(comparisons, THRESHOLDS, resamples=400, seed=0)

    np.testing.assert_allclose(resampled.fmr.mean(axis=0), rates.fmr(THRESHOLDS), rtol=0.05)
    np.testing.assert_allclose(resampled.fnmr.mean(axis=0), rates.fnmr(THRESHOLDS), rtol=0.05)
    assert (np.diff(resampled.fmr, axis=1) <= 0).all()
    assert (np.diff(resampled.fnmr, axis=1) >= 0).all()


def test_the_order_of_pairs_does_not_matter():
    comparisons = compare_people(np.random.default_rng(6), 20, 3)
    order = np.random.default_rng(7).permutation(len(comparisons.nonmated))
    shuffled = Comparisons(
        **{
            **vars(comparisons),
            "nonmated": comparisons.nonmated[order],
            "nonmated_identities": comparisons.nonmated_identities[order],
        }
    )

    for found in (comparisons, shuffled):
        resampled = resample_identities(found, THRESHOLDS, resamples=10, seed=0)
        np.testing.assert_allclose(
            resampled.fmr,
            resample_identities(comparisons, THRESHOLDS, resamples=10, seed=0).fmr,
        )


def test_a_resample_of_one_person_alone_has_no_rate():
    comparisons = make_comparisons([0.1], [(0, 1)], people=2)

    resampled = resample_identities(comparisons, THRESHOLDS, resamples=50, seed=0)

    alone = np.isnan(resampled.fmr).all(axis=1)
    assert 0.2 < alone.mean() < 0.8
    np.testing.assert_array_equal(resampled.fmr[~alone], 0)


def test_where_nothing_or_everything_errs_the_rule_of_three_bounds_the_rate():
    nothing = resampled_bounds(0.0, np.zeros(100), pairs=10**6, units=300)
    everything = resampled_bounds(1.0, np.ones(100), pairs=10**6, units=300)

    assert nothing.low == 0
    assert nothing.high == pytest.approx(3 / 300, rel=0.01)
    assert (1 - everything.high, 1 - everything.low) == pytest.approx((0, nothing.high))
    assert independent_comparisons(0.0, np.zeros(100), pairs=10**6, units=300) == 300


@pytest.mark.parametrize("rate", [0.0, 1e-5, 0.02, 1.0])
@pytest.mark.parametrize("units", [1, 2, 1000])
def test_bounds_hold_the_rate_itself_and_stay_rates(rate, units):
    resampled = np.random.default_rng(0).uniform(0, 0.01, 50)

    bounds = resampled_bounds(rate, resampled, pairs=5000, units=units)

    assert 0 <= bounds.low <= rate <= bounds.high <= 1


def test_independent_comparisons_of_independent_trials_are_their_number():
    resampled = np.random.default_rng(1).binomial(5000, 0.01, 4000) / 5000

    found = independent_comparisons(0.01, resampled, pairs=10**6, units=10)

    assert found == pytest.approx(5000, rel=0.1)
    assert independent_comparisons(0.01, resampled, pairs=700, units=10) == 700
