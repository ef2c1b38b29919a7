# SPDX-License-Identifier: Apache-2.0
"""MMD against a double loop in float64, and what must be true of any discrepancy."""

import math

import numpy as np
import pytest
import torch

from mien_export.adaptation.mmd import (
    ESTIMATORS,
    FIVE_KERNELS,
    ONE_KERNEL,
    kernel_widths,
    median_gamma,
    squared_mmd,
)

torch.set_num_threads(1)
WIDTHS = kernel_widths(5.0)
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
each_family = pytest.mark.parametrize(
    "multipliers", [ONE_KERNEL, FIVE_KERNELS], ids=["one kernel", "five"]
)


def normals(count, seed, shift=0.0, size=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) + shift


def by_loops(source, target, gammas, estimator):
    """Gretton et al. 2012, equations 3 and 5, pair by pair."""
    x, y = source.tolist(), target.tolist()

    def k(a, b):
        squared = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return sum(math.exp(-squared / gamma) for gamma in gammas) / len(gammas)

    def within(points):
        pairs = [
            k(a, b)
            for i, a in enumerate(points)
            for j, b in enumerate(points)
            if estimator == "biased" or i != j
        ]
        return sum(pairs) / len(pairs)

    across = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


@each_family
@each_estimator
def test_an_estimate_is_the_double_loop(estimator, multipliers):
    source, target = normals(7, 0), normals(5, 1, shift=0.5)
    gammas = kernel_widths(4.0, multipliers)
    wanted = by_loops(source, target, gammas, estimator)

    assert float(squared_mmd(source, target, gammas, estimator)) == pytest.approx(wanted, rel=1e-12)
    single = squared_mmd(source.float(), target.float(), gammas, estimator)
    assert float(single) == pytest.approx(wanted, abs=1e-6)


def test_two_points_have_the_discrepancy_of_their_distance():
    """1 + 1 - 2 k."""
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])

    assert float(squared_mmd(a, b, [25.0])) == pytest.approx(2 - 2 * math.exp(-1))


def test_equal_sets_have_none():
    points = normals(9, 0)

    assert float(squared_mmd(points, points.clone(), WIDTHS)) == pytest.approx(0, abs=1e-15)
    assert float(squared_mmd(points, points.flip(0), WIDTHS)) == pytest.approx(0, abs=1e-15)


def test_the_biased_estimate_is_never_below_zero():
    for seed in range(50):
        source, target = normals(4, 2 * seed), normals(6, 2 * seed + 1)
        assert float(squared_mmd(source, target, WIDTHS)) > 0


def test_of_one_distribution_the_unbiased_estimate_is_zero_on_average_and_the_biased_is_not():
    draws = [(normals(8, 2 * i), normals(8, 2 * i + 1)) for i in range(400)]
    unbiased, biased = (
        np.array([float(squared_mmd(*draw, WIDTHS, estimator)) for draw in draws])
        for estimator in ("unbiased", "biased")
    )
    error = unbiased.std() / len(draws) ** 0.5

    assert abs(unbiased.mean()) < 4 * error
    assert (unbiased < 0).any()
    assert biased.mean() > 20 * error


def test_what_the_biased_estimate_has_too_much_is_the_kernel_of_points_with_themselves():
    """(1 - mean of k between different points) / M, and the same for N."""
    source, target = normals(7, 0), normals(5, 1, shift=1.0)
    extra = squared_mmd(source, target, WIDTHS) - squared_mmd(source, target, WIDTHS, "unbiased")

    def share(points):
        distances = torch.pdist(points).square()
        kernel = torch.stack([torch.exp(-distances / gamma) for gamma in WIDTHS]).mean()
        return (1 - kernel) / len(points)

    torch.testing.assert_close(extra, share(source) + share(target))


@each_family
@each_estimator
def test_a_planted_shift_is_seen_and_the_larger_the_more(estimator, multipliers):
    source, target = normals(60, 0), normals(60, 1)
    gammas = kernel_widths(median_gamma(source, target), multipliers)
    found = [
        float(squared_mmd(source, target + shift, gammas, estimator))
        for shift in (0, 0.25, 0.5, 1, 2)
    ]

    assert found == sorted(found)
    assert found[-1] > 10 * abs(found[0])


@each_estimator
def test_neither_order_nor_roles_nor_movement_of_all_count(estimator):
    source, target = normals(7, 0), normals(5, 1, shift=0.5)
    shuffled = source[torch.randperm(7)], target[torch.randperm(5)]
    rotation, _ = torch.linalg.qr(normals(6, 3))
    moved = source @ rotation + 4, target @ rotation + 4
    wanted = squared_mmd(source, target, WIDTHS, estimator)

    for pair in (shuffled, moved, (target, source)):
        torch.testing.assert_close(squared_mmd(*pair, WIDTHS, estimator), wanted)


@each_estimator
def test_larger_features_are_no_larger_discrepancy(estimator):
    """As gamma is a median of squared distances."""
    source, target = normals(7, 0), normals(5, 1, shift=0.5)
    first, second = (
        squared_mmd(c * source, c * target, kernel_widths(median_gamma(c * source, c * target)),
                    estimator)
        for c in (1, 1000)
    )  # fmt: skip

    torch.testing.assert_close(first, second)


@each_estimator
def test_gradients_are_finite_differences(estimator):
    source, target = normals(4, 0).requires_grad_(), normals(3, 1, shift=0.5).requires_grad_()
    squared_mmd(source, target, WIDTHS, estimator).backward()

    step = 1e-5
    for tensor in (source, target):
        for place in np.ndindex(*tensor.shape):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    tensor[place] += sign * step
                    ends.append(float(squared_mmd(source, target, WIDTHS, estimator)))
                    tensor[place] -= sign * step
            slope = (ends[0] - ends[1]) / (2 * step)
            assert float(tensor.grad[place]) == pytest.approx(slope, abs=1e-9, rel=1e-5)


def test_descending_brings_domains_together():
    source, target = normals(20, 0), normals(20, 1, shift=2.0)
    offset = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    gammas = kernel_widths(median_gamma(source, target))
    for _ in range(100):
        (gradient,) = torch.autograd.grad(squared_mmd(source, target + offset, gammas), offset)
        with torch.no_grad():
            offset -= 10 * gradient

    apart = (source.mean(dim=0) - (target + offset.detach()).mean(dim=0)).abs().max()
    assert float(apart) < 0.5


@each_family
@each_estimator
def test_points_that_all_coincide_give_zero_and_no_nan(estimator, multipliers):
    points = torch.full((5, 8), 3.0, requires_grad=True)
    others = torch.full((4, 8), 3.0)
    gammas = kernel_widths(median_gamma(points, others), multipliers)

    found = squared_mmd(points, others, gammas, estimator)
    found.backward()

    assert float(found.detach()) == pytest.approx(0, abs=1e-6)
    assert torch.equal(points.grad, torch.zeros_like(points))


def test_domains_that_have_collapsed_apart_give_finite_gradients():
    points = torch.zeros(5, 8, requires_grad=True)
    found = squared_mmd(points, torch.full((5, 8), 100.0), kernel_widths(1e-12))
    found.backward()

    assert float(found.detach()) == pytest.approx(2)
    assert bool(torch.isfinite(points.grad).all())


@pytest.mark.parametrize(("count", "others"), [(4, 3), (3, 3), (1, 1), (6, 2)])
def test_gamma_is_the_median_of_the_squared_distances_of_all_pairs(count, others):
    source, target = normals(count, 0), normals(others, 1)
    points = torch.cat([source, target]).numpy()
    squared = [((points[i] - points[j]) ** 2).sum() for i in range(len(points)) for j in range(i)]

    assert median_gamma(source, target) == pytest.approx(np.median(squared), rel=1e-12)


def test_five_kernels_double_from_gamma():
    assert kernel_widths(3.0) == (3.0, 6.0, 12.0, 24.0, 48.0)
    assert kernel_widths(3.0, ONE_KERNEL) == (3.0,)


@pytest.mark.parametrize("gamma", [0.0, -1.0, math.nan, math.inf])
def test_impossible_widths_are_refused(gamma):
    with pytest.raises(ValueError, match="finite numbers above zero"):
        kernel_widths(gamma)
    with pytest.raises(ValueError, match="finite numbers above zero"):
        squared_mmd(normals(3, 0), normals(3, 1), [1.0, gamma])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (torch.zeros(3, 4), torch.zeros(3, 5), r"\(3, 4\) and target \(3, 5\)"),
        (torch.zeros(3), torch.zeros(3), r"expected \(M, D\) and \(N, D\)"),
        (torch.zeros(1, 4), torch.zeros(3, 4), "source has 1 features and target 3; expected 2"),
    ],
)
def test_features_that_do_not_fit_are_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        squared_mmd(source, target, WIDTHS, "unbiased")


def test_unknown_estimators_and_features_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="expected one of biased, unbiased"):
        squared_mmd(normals(3, 0), normals(3, 1), WIDTHS, "linear")
    with pytest.raises(ValueError, match="NaN or infinite"):
        median_gamma(normals(3, 0), torch.full((3, 6), math.nan, dtype=torch.float64))
