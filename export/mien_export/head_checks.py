# SPDX-License-Identifier: Apache-2.0
"""What must hold of the arrays of a head: shapes, ranges, sums.

Letters  V vertices, F triangles, T texture vertices, A facial actions, E emotions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_PARENTS = (-1, 0, 1, 1, 1)
# Half precision stores a weight with a relative error of 2**-11; a row sums five of them.
_WEIGHT_SUM_SLACK = 2e-3
_BARY_SUM_SLACK = 2e-3
_LARGEST_HEAD_M = 5.0  # a head in millimetres would be a hundred times larger

# Letters stand for sizes that follow from another array.
_SHAPES: Mapping[str, tuple[int | str, ...]] = {
    "v_template": ("V", 3),
    "f": ("F", 3),
    "shapedirs": ("V", 3, 400),
    "posedirs": ("V", 3, 36),
    "J_regressor": (5, "V"),
    "weights": ("V", 5),
    "kintree_table": (2, 5),
    "static_lmk_faces_idx": (51,),
    "static_lmk_bary_coords": (51, 3),
    "dynamic_lmk_faces_idx": (79, 17),
    "dynamic_lmk_bary_coords": (79, 17, 3),
    "full_lmk_faces_idx": (1, 68),
    "full_lmk_bary_coords": (1, 68, 3),
    "vt": ("T", 2),
    "ft": ("F or 0", 3),
    "expression_from_actions": (100, "A"),
    "pose_from_actions": (15, "A"),
    "actions_from_emotions": ("A", "E"),
    "shape_std": (300,),
    "expression_std": (100,),
}


def head_problems(arrays: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with the fields of a head.

    Returns:
        One phrase per problem: what came and what was expected; empty where it is a head.
    """
    shapes = _shape_problems(arrays)
    if shapes:
        return shapes  # nothing else can be judged
    broken = [
        f"{key} has NaN or infinite values"
        for key in _SHAPES
        if arrays[key].dtype.kind == "f" and not np.isfinite(arrays[key]).all()
    ]
    return broken or _value_problems(arrays)


def _shape_problems(arrays: Mapping[str, Any]) -> list[str]:
    template, triangles = arrays["v_template"], arrays["f"]
    sizes: dict[str, Sequence[int]] = {
        "V": (len(template),),
        "F": (len(triangles),),
        "F or 0": (len(triangles), 0),
        "T": (len(arrays["vt"]),),
        "A": (len(arrays["action_names"]),),
        "E": (len(arrays["emotion_names"]),),
    }
    problems = []
    for key, wanted in _SHAPES.items():
        shape = arrays[key].shape
        allowed = [sizes[size] if isinstance(size, str) else (size,) for size in wanted]
        if len(shape) != len(wanted) or any(
            got not in want for got, want in zip(shape, allowed, strict=True)
        ):
            meant = ", ".join(map(str, wanted))
            problems.append(f"{key} has shape {shape}, expected ({meant})")
    problems += [
        f"region {name!r} has shape {mask.shape}, expected (V,)"
        for name, mask in arrays["regions"].items()
        if mask.shape != (len(template),)
    ]
    if not problems and not (len(template) and len(triangles)):
        problems.append("there are no vertices or no triangles")
    if problems:
        problems.append(f"V is {len(template)} and F is {len(triangles)}")
    return problems


def _value_problems(arrays: Mapping[str, Any]) -> list[str]:
    problems = []
    extent = float(np.ptp(arrays["v_template"], axis=0).max())
    if not 0 < extent <= _LARGEST_HEAD_M:
        problems.append(
            f"the template is {extent:g} wide; expected metres, up to {_LARGEST_HEAD_M}"
        )
    parents = tuple(int(parent) for parent in arrays["kintree_table"][0])
    if parents != _PARENTS:
        problems.append(f"the parents are {parents}, expected {_PARENTS}")
    problems += _index_problems(arrays)
    sums = arrays["weights"].sum(axis=1, dtype=np.float64)
    if np.abs(sums - 1).max() > _WEIGHT_SUM_SLACK or arrays["weights"].min() < 0:
        problems.append(
            f"weights sum to {sums.min():.4g}..{sums.max():.4g} and are at least "
            f"{arrays['weights'].min():.4g}; expected rows that sum to 1, none negative"
        )
    for key in ("static", "dynamic", "full"):
        sums = arrays[f"{key}_lmk_bary_coords"].sum(axis=-1, dtype=np.float64)
        if np.abs(sums - 1).max() > _BARY_SUM_SLACK:
            problems.append(
                f"{key}_lmk_bary_coords sum to {sums.min():.4g}..{sums.max():.4g}, expected 1"
            )
    if arrays["shape_std"].min() < 0 or arrays["expression_std"].min() < 0:
        problems.append("a standard deviation is negative")
    return problems


def _index_problems(arrays: Mapping[str, Any]) -> list[str]:
    limits = {"f": len(arrays["v_template"]), "ft": len(arrays["vt"])}
    limits |= {key: len(arrays["f"]) for key in _SHAPES if key.endswith("_faces_idx")}
    problems = []
    for key, limit in limits.items():
        index = arrays[key]
        if index.size and not 0 <= index.min() <= index.max() < limit:
            problems.append(
                f"{key} points to {index.min()}..{index.max()}, expected 0..{limit - 1}"
            )
    return problems
