# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.style_distribution import StyleDistribution


def distribution(seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=236)
    mean[206] = 8.0
    return StyleDistribution(mean, np.linalg.cholesky(np.cov(rng.normal(size=(236, 2000)))))


def test_samples_have_the_mean_and_the_covariance():
    planted = distribution()

    codes = np.stack([planted.sample(4, number) for number in range(6000)])

    free = np.arange(236) != 206
    covariance = planted.factor @ planted.factor.T
    assert np.abs(codes.mean(axis=0) - planted.mean)[free].max() < 0.06
    assert np.abs(np.cov(codes.T) - covariance)[np.ix_(free, free)].max() < 0.09


def test_a_style_is_its_seed_and_its_number():
    planted = distribution()

    assert planted.sample(1, 0).tobytes() == planted.sample(1, 0).tobytes()
    assert np.abs(planted.sample(1, 0) - planted.sample(1, 1)).max() > 0.5
    assert np.abs(planted.sample(1, 0) - planted.sample(2, 0)).max() > 0.5


def test_the_camera_is_never_turned_inside_out():
    factor = np.eye(236)
    factor[206, 206] = 50
    mean = np.zeros(236)
    mean[206] = 8.0
    wild = StyleDistribution(mean, factor)

    scales = [wild.sample(0, number)[206] for number in range(200)]

    assert min(scales) == 4.0
    assert max(scales) > 50


def test_the_file_is_read_back(tmp_path):
    planted = distribution()
    np.savez(tmp_path / "styles.npz", mean=planted.mean, factor=planted.factor)

    found = StyleDistribution.read(tmp_path / "styles.npz")

    assert found.sample(3, 9).tobytes() == planted.sample(3, 9).tobytes()
    np.savez(tmp_path / "half.npz", mean=planted.mean)
    with pytest.raises(ValueError, match=r"half\.npz lacks factor"):
        StyleDistribution.read(tmp_path / "half.npz")


@pytest.mark.parametrize(
    ("mean", "factor"),
    [
        (np.zeros(235), np.eye(236)),
        (np.zeros(236), np.eye(235)),
        (np.full(236, np.nan), np.eye(236)),
    ],
)
def test_what_is_no_distribution_is_refused(mean, factor):
    with pytest.raises(ValueError, match="finite numbers"):
        StyleDistribution(mean, factor)
