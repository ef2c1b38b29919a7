# SPDX-License-Identifier: Apache-2.0
"""The linear head model in FLAME's schema: ours and a user's licensed FLAME, from one reader.

Source   Li et al. 2017, "Learning a model of facial shape and expression from 4D scans"; names of
         arrays are those of ``generic_model.pkl`` and ``landmark_embedding.npy``.
Letters  V vertices, F triangles, T texture vertices, A facial actions.
Frame    metres, y up, the face looks to +z.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_export.errors import CheckpointError
from mien_export.head_checks import head_problems
from mien_export.head_files import LANDMARK_KEYS, read_head_arrays

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
Booleans = npt.NDArray[np.bool_]

NUM_SHAPE, NUM_EXPRESSION, NUM_POSE, NUM_JOINTS = 300, 100, 15, 5
PARENTS = (-1, 0, 1, 1, 1)  # of root, neck, jaw, left eye, right eye


@dataclass(frozen=True)
class HeadModel:
    """A head: template, bases, skeleton, landmarks, and where known UV layout and facial actions.

    Construction checks everything. Arrays are fp32, int32 or bool, whatever the file holds.

    Attributes:
        v_template: (V, 3) the mean head.
        f: (F, 3) vertices of each triangle.
        shapedirs: (V, 3, 400) displacement per unit: 300 of shape, then 100 of expression.
        posedirs: (V, 3, 36) displacement per element of the pose feature.
        J_regressor: (5, V) joints from vertices.
        weights: (V, 5) skinning weights; each row sums to 1.
        kintree_table: (2, 5) parents, and the joints' own numbers.
        static_lmk_faces_idx: (51,) triangles of the inner landmarks.
        static_lmk_bary_coords: (51, 3) places inside them.
        dynamic_lmk_faces_idx: (79, 17) triangles of the contour, per degree of yaw.
        dynamic_lmk_bary_coords: (79, 17, 3) places inside them.
        full_lmk_faces_idx: (1, 68) triangles of all landmarks at rest.
        full_lmk_bary_coords: (1, 68, 3) places inside them.
        vt: (T, 2) texture coordinates, 0..1, v up; T is 0 where the UV layout is not known.
        ft: (F, 3) texture vertices of each triangle, or (0, 3).
        action_names: A names of facial actions (ARKit's 52), or none.
        expression_from_actions: (100, A) expression coefficients per unit of action.
        pose_from_actions: (15, A) pose, radians, per unit of action.
        emotion_names: E names of emotions, or none.
        actions_from_emotions: (A, E) actions per unit of emotion.
        shape_std: (300,) how far one unit of each shape coefficient moves the vertices, root mean
            square in metres; the coefficients themselves have unit variance, as in FLAME. Zeros
            where the file does not say.
        expression_std: (100,) likewise.
        regions: boolean masks (V,) by name.
        origin: where the data comes from; "" where the file does not say.
        licence: under which terms; "" where the file does not say.

    Raises:
        CheckpointError: an array has another shape, holds NaN, or points outside another one.
    """

    v_template: Floats
    f: Integers
    shapedirs: Floats
    posedirs: Floats
    J_regressor: Floats
    weights: Floats
    kintree_table: Integers
    static_lmk_faces_idx: Integers
    static_lmk_bary_coords: Floats
    dynamic_lmk_faces_idx: Integers
    dynamic_lmk_bary_coords: Floats
    full_lmk_faces_idx: Integers
    full_lmk_bary_coords: Floats
    vt: Floats = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    ft: Integers = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    action_names: tuple[str, ...] = ()
    expression_from_actions: Floats = field(
        default_factory=lambda: np.zeros((NUM_EXPRESSION, 0), np.float32)
    )
    pose_from_actions: Floats = field(default_factory=lambda: np.zeros((NUM_POSE, 0), np.float32))
    emotion_names: tuple[str, ...] = ()
    actions_from_emotions: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    shape_std: Floats = field(default_factory=lambda: np.zeros(NUM_SHAPE, np.float32))
    expression_std: Floats = field(default_factory=lambda: np.zeros(NUM_EXPRESSION, np.float32))
    regions: Mapping[str, Booleans] = field(default_factory=dict)
    origin: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        problems = head_problems(vars(self))
        if problems:
            raise CheckpointError(
                f"this is no head in FLAME's schema: {'; '.join(problems)}. Expected the arrays of "
                "FLAME's generic_model.pkl and landmark_embedding.npy, or those of head.npz."
            )
        # Half precision leaves rows a little off 1, which would scale the head in skinning.
        exact = self.weights.astype(np.float64)
        exact /= exact.sum(axis=1, keepdims=True)
        object.__setattr__(self, "weights", exact.astype(np.float32))

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.v_template)

    @property
    def has_uv(self) -> bool:
        """True where the UV layout is known."""
        return len(self.ft) > 0


def read_head(path: Path, landmarks: Path | None = None) -> HeadModel:
    """Read a head file without running anything in it.

    Args:
        path: ``head.npz`` of ours, FLAME's ``generic_model.pkl``, or the same arrays as ``.npz``.
        landmarks: FLAME's ``landmark_embedding.npy``, or the same as ``.npz``. By default those
            inside the file, else the file of that name beside it.

    The UV layout comes from inside the file, or from ``head_template.obj`` beside it, or stays
    empty.

    Raises:
        CheckpointError: a file is missing, hostile, damaged, or holds no head.
    """
    arrays = read_head_arrays(path, landmarks)
    required = set(LANDMARK_KEYS) | set(_REQUIRED)
    missing = sorted(required - arrays.keys())
    if missing:
        raise CheckpointError(
            f"{path.name} lacks {', '.join(missing)}; it has {', '.join(sorted(arrays)) or 'none'}."
            " Expected the arrays of FLAME's generic_model.pkl; landmarks may lie beside it as "
            "landmark_embedding.npy."
        )
    try:
        return _head(arrays)
    except (CheckpointError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path.name}: {error}") from error


_REQUIRED = (
    "v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table",
)  # fmt: skip
_INTEGERS = ("f", "ft", "kintree_table")
_FLOATS = (
    "v_template", "shapedirs", "posedirs", "J_regressor", "weights", "vt",
    "expression_from_actions", "pose_from_actions", "actions_from_emotions", "shape_std",
    "expression_std",
)  # fmt: skip
_NAMES = ("action_names", "emotion_names")
_TEXTS = ("origin", "licence")
_REGION = "region_"


def _head(arrays: Mapping[str, npt.NDArray[Any]]) -> HeadModel:
    fields: dict[str, Any] = {}
    for key, array in arrays.items():
        if key in _INTEGERS or key.endswith("_faces_idx"):
            fields[key] = _int32(key, array)
        elif key in _FLOATS or key.endswith("_bary_coords"):
            fields[key] = np.ascontiguousarray(array, np.float32)
        elif key in _NAMES:
            fields[key] = tuple(str(name) for name in array.ravel())
        elif key in _TEXTS:
            fields[key] = str(array)
    regions = {
        key[len(_REGION) :]: np.asarray(array, bool)
        for key, array in arrays.items()
        if key.startswith(_REGION)
    }
    return HeadModel(**fields, regions=regions)


def _int32(key: str, array: npt.NDArray[Any]) -> Integers:
    if array.dtype.kind not in "iu":
        raise CheckpointError(f"{key} is of {array.dtype}; expected integers")
    # FLAME stores the root's parent -1 as the largest unsigned number.
    wide = array.astype(np.int64)
    wide[wide == np.iinfo(np.uint32).max] = -1
    return np.ascontiguousarray(np.clip(wide, -2, np.iinfo(np.int32).max), np.int32)
