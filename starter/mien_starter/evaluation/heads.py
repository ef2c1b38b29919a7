# SPDX-License-Identifier: Apache-2.0
"""How far predicted heads are from the true ones, and how far the mean head is.

Letters  N heads, K coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.head_model import NUM_SHAPE, HeadModel
from mien_starter.evaluation.meshes import mesh_error_mm

__all__ = ["head_figures"]


def head_figures(
    head: HeadModel,
    shape: NDArray[Any],
    true_shape: NDArray[Any],
    expression: NDArray[Any] | None = None,
    true_expression: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Mesh errors of the face, in millimetres, without pose.

    Args:
        head: the model that the coefficients belong to.
        shape: (N, K) predicted, K up to 300; missing ones are 0.
        true_shape: (N, 300).
        expression: (N, K) predicted, K up to 100; None compares heads at rest.
        true_expression: (N, 100), or None.

    Returns:
        "mesh_mm_mean", "mesh_mm_median", the same of the mean head, the ratio of the means; and the
        same once more with "scaled_" in front, where a wrong size is forgiven.
    """
    face = head.regions.get("face", np.ones(head.num_vertices, bool))
    found = [_vertices(head, *pair) for pair in _pairs(shape, expression)]
    truth = [_vertices(head, *pair) for pair in _pairs(true_shape, true_expression)]
    figures: dict[str, float] = {}
    for prefix, scaled in (("", False), ("scaled_", True)):
        errors = [
            mesh_error_mm(f, t, face, scaled=scaled) for f, t in zip(found, truth, strict=True)
        ]
        of_mean = [mesh_error_mm(head.v_template, t, face, scaled=scaled) for t in truth]
        figures |= {
            f"{prefix}mesh_mm_mean": float(np.mean(errors)),
            f"{prefix}mesh_mm_median": float(np.median(errors)),
            f"{prefix}mean_head_mm_mean": float(np.mean(of_mean)),
            f"{prefix}mean_head_mm_median": float(np.median(of_mean)),
            f"{prefix}ratio_to_mean_head": float(np.mean(errors) / np.mean(of_mean)),
        }
    return figures


def _pairs(
    shape: NDArray[Any], expression: NDArray[Any] | None
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    if expression is None:
        expression = np.zeros((len(shape), 0))
    return list(zip(shape, expression, strict=True))


def _vertices(
    head: HeadModel, shape: NDArray[Any], expression: NDArray[Any]
) -> NDArray[np.float64]:
    expressive = head.shapedirs[..., NUM_SHAPE : NUM_SHAPE + len(expression)]
    moved = head.shapedirs[..., : len(shape)] @ shape + expressive @ expression
    return np.asarray(head.v_template + moved, np.float64)
