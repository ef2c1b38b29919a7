# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
from scipy import stats

from mien_server.diffusion.noise import MAX_SEED, gaussian_noise

PINNED = [-1.192075490951538, 0.38285499811172485, 1.666826605796814, 0.45719364285469055]


def test_noise_is_normal():
    values = gaussian_noise(1, 0, (200_000,)).astype(np.float64)

    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(stats.skew(values)) < 0.03
    assert abs(stats.kurtosis(values)) < 0.06
    assert np.isfinite(values).all()


def test_seeds_and_streams_have_noise_of_their_own():
    kinds = [
        gaussian_noise(seed, stream, (5000,))
        for seed in (0, 1, 2**63, MAX_SEED)
        for stream in (0, 1, 9)
    ]
    for one, other in itertools.combinations(kinds, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.07


def test_the_two_halves_of_a_pair_do_not_depend_on_each_other():
    values = gaussian_noise(7, 0, (2, 100_000))

    assert abs(np.corrcoef(*values)[0, 1]) < 0.015
    assert abs(np.corrcoef(*np.abs(values))[0, 1]) < 0.015


def test_noise_is_the_same_in_every_release():
    """Philox is defined to the bit; the first values of a stream are part of the contract."""
    found = gaussian_noise(2026, 3, (4,))

    np.testing.assert_allclose(found, PINNED, rtol=1e-6)


def test_an_odd_number_of_values_and_none_at_all():
    assert gaussian_noise(0, 0, (3, 5)).shape == (3, 5)
    assert gaussian_noise(0, 0, (0, 4)).shape == (0, 4)


@pytest.mark.parametrize(("seed", "stream"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**63)])
def test_what_no_counter_holds_is_refused(seed, stream):
    with pytest.raises(ValueError, match="expected 0 to 2"):
        gaussian_noise(seed, stream, (1,))
