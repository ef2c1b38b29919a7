# SPDX-License-Identifier: Apache-2.0
"""A fitted linear SVM as a layer of a network.

Letters  F features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


def fold_svm(
    layer: nn.Linear,
    coefficients: npt.ArrayLike,
    intercept: npt.ArrayLike,
    *,
    mean: npt.ArrayLike | None = None,
    scale: npt.ArrayLike | None = None,
) -> None:
    """Make a layer give the margins of an SVM of two classes, of features as they come.

    The SVM says w (x - mean) / scale + c of features x, which is (w / scale) x plus the constant
    c - (w / scale) mean: the layer's weight and bias, worked out in float64.

    Args:
        layer: F features to one margin; changed in place.
        coefficients: (F,) or (1, F) w, scikit-learn's ``coef_``. The margin is positive for its
            second class; here that must be the spontaneous one.
        intercept: c, one number: ``intercept_``.
        mean: (F,) what was taken from every feature before the SVM saw it, ``StandardScaler``'s
            ``mean_``; None for nothing.
        scale: (F,) what it was divided by then, above 0: ``scale_``; None for nothing.

    Raises:
        ValueError: a shape does not fit the layer, a number is not finite, a scale not above 0.
    """
    size = layer.in_features
    if layer.out_features != 1 or layer.bias is None:
        raise ValueError(
            f"the layer gives {layer.out_features} values, bias {layer.bias is not None}; expected "
            "one margin and a bias. An SVM of more than two classes has no single margin."
        )
    weight = _vector("coefficients", coefficients, size)
    (bias,) = _vector("intercept", intercept, 1)
    if scale is not None:
        scales = _vector("scale", scale, size)
        if (scales <= 0).any():
            raise ValueError(
                f"scale has {scales.min()} in it; expected numbers above 0. A feature that never "
                "varied is divided by 1."
            )
        weight = weight / scales
    if mean is not None:
        bias = bias - weight @ _vector("mean", mean, size)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight)[None])
        layer.bias.fill_(float(bias))


def _vector(name: str, values: npt.ArrayLike, size: int) -> npt.NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.size != size or not np.isfinite(array).all():
        raise ValueError(
            f"{name} holds {array.size} numbers, {np.isfinite(array).sum()} of them finite; the "
            f"layer needs {size} finite ones. Give those of an SVM fitted to this layer's features."
        )
    return array.ravel()
