# SPDX-License-Identifier: Apache-2.0
"""A folded SVM against the arithmetic it stands for, and against the library it comes from."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from mien_export.linear_svm import fold_svm

F = 12


@pytest.fixture
def layer():
    return nn.Linear(F, 1)


def fitted(seed=0):
    """Coefficients, intercept, mean, scale, and 50 samples, far from zero and of unequal spread."""
    rng = np.random.default_rng(seed)
    mean, scale = rng.uniform(1, 5, F), rng.uniform(0.1, 3, F)
    samples = mean + scale * rng.standard_normal((50, F))
    return rng.standard_normal((1, F)), rng.standard_normal(1), mean, scale, samples


def margins(layer, samples):
    with torch.inference_mode():
        return layer(torch.from_numpy(samples.astype(np.float32)))[:, 0].numpy()


@pytest.mark.parametrize("has_scale", [False, True], ids=["any spread", "unit spread"])
@pytest.mark.parametrize("has_mean", [False, True], ids=["any mean", "mean zero"])
def test_a_folded_svm_is_the_unfolded_arithmetic(has_mean, has_scale, layer):
    coefficients, intercept, mean, scale, samples = fitted()
    known = ({"mean": mean} if has_mean else {}) | ({"scale": scale} if has_scale else {})
    seen = (samples - known.get("mean", 0)) / known.get("scale", 1)
    wanted = seen @ coefficients[0] + intercept[0]

    fold_svm(layer, coefficients, intercept, **known)

    assert_allclose(margins(layer, samples), wanted, rtol=1e-5, atol=1e-4)
    assert np.std(wanted) > 1


def test_shapes_of_one_row_and_of_none_are_the_same_svm(layer):
    coefficients, intercept, mean, scale, samples = fitted()
    fold_svm(layer, coefficients, intercept, mean=mean, scale=scale)
    wanted = margins(layer, samples)

    fold_svm(layer, list(coefficients[0]), float(intercept[0]), mean=mean, scale=scale)

    assert np.array_equal(margins(layer, samples), wanted)


def test_a_large_constant_is_worked_out_before_it_is_rounded(layer):
    """In float32 a bias of 1e8 - 1e8 + 0.25 would be nothing."""
    mean, scale = np.full(F, 1e4), np.full(F, 1e-3)
    coefficients = np.where(np.arange(F) % 2, 1.0, -1.0)

    fold_svm(layer, coefficients, 0.25, mean=mean, scale=scale)

    assert layer.bias.item() == 0.25


def test_margins_are_those_of_scikit_learn():
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="no scikit-learn here")
    svm = pytest.importorskip("sklearn.svm", reason="no scikit-learn here")
    *_, samples = fitted()
    labels = (samples @ np.linspace(-1, 1, F) > np.median(samples @ np.linspace(-1, 1, F))) * 1
    scaler = preprocessing.StandardScaler().fit(samples)
    machine = svm.SVC(kernel="linear").fit(scaler.transform(samples), labels)
    layer = nn.Linear(F, 1)

    fold_svm(layer, machine.coef_, machine.intercept_, mean=scaler.mean_, scale=scaler.scale_)

    found = margins(layer, samples)
    assert_allclose(found, machine.decision_function(scaler.transform(samples)), atol=1e-4)
    # Above 0 for the second class.
    assert np.array_equal(found > 0, machine.predict(scaler.transform(samples)) == 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefficients": np.ones((1, F + 1))}, f"coefficients holds 13 numbers.* needs {F}"),
        ({"coefficients": np.ones((3, F))}, "coefficients holds 36 numbers"),
        ({"coefficients": np.full(F, np.nan)}, "coefficients holds 12 numbers, 0 of them finite"),
        ({"intercept": np.zeros(3)}, "intercept holds 3 numbers.* needs 1"),
        ({"mean": np.zeros(3)}, "mean holds 3 numbers"),
        ({"scale": np.ones(3)}, "scale holds 3 numbers"),
        ({"scale": np.arange(F)}, "scale has 0.0 in it; expected numbers above 0"),
    ],
    ids=["long", "more classes", "nan", "more margins", "mean", "scale", "no spread"],
)
def test_what_does_not_fit_the_layer_is_refused_and_leaves_it_as_it_was(change, message, layer):
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}

    with pytest.raises(ValueError, match=message):
        fold_svm(layer, **{"coefficients": np.ones((1, F)), "intercept": 0.0, **change})

    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


@pytest.mark.parametrize("layer", [nn.Linear(F, 3), nn.Linear(F, 1, bias=False)], ids=str)
def test_a_layer_that_has_no_single_margin_is_refused(layer):
    with pytest.raises(ValueError, match="expected one margin and a bias"):
        fold_svm(layer, np.ones(F), 0.0)
