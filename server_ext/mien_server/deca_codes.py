# SPDX-License-Identifier: Apache-2.0
"""DECA's code of a face: 236 numbers, what each means, and what the head model takes of them.

Feng et al. 2021, the released `decalib/utils/config.py` (`param_list`) and `models/FLAME.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODE_COUNT", "CODE_PARTS", "code_parts", "head_inputs", "with_parts"]

CODE_COUNT = 236
CODE_PARTS: dict[str, slice] = {
    "shape": slice(0, 100),
    "texture": slice(100, 150),
    "expression": slice(150, 200),
    "pose": slice(200, 206),  # global rotation 3, jaw 3: axis-angle
    "camera": slice(206, 209),  # s, tx, ty of `mien_server.rendering.camera`
    "light": slice(209, 236),  # (9, 3) spherical harmonics, coefficient-major
}

HEAD_SHAPE_COUNT = 300
HEAD_EXPRESSION_COUNT = 100

Array = NDArray[Any]


def code_parts(codes: Array) -> dict[str, Array]:
    """Views of (N, 236) codes by name, in the names of `CODE_PARTS`."""
    return {name: codes[:, part] for name, part in CODE_PARTS.items()}


def head_inputs(codes: Array, shape: Array | None = None) -> dict[str, Array]:
    """Inputs of `flame_decoder`: unused components are zero, neck and eyes stay as they are.

    Args:
        codes: (N, 236).
        shape: (N, 300) instead of the 100 coefficients of the codes.

    Returns:
        shape (N, 300), expression (N, 100), pose (N, 15): global, neck, jaw, two eyes.
    """
    parts = code_parts(np.asarray(codes, np.float32))
    pose = np.zeros((len(codes), 15), np.float32)
    pose[:, :3], pose[:, 6:9] = parts["pose"][:, :3], parts["pose"][:, 3:]
    return {
        "shape": _padded(parts["shape"], HEAD_SHAPE_COUNT) if shape is None else shape,
        "expression": _padded(parts["expression"], HEAD_EXPRESSION_COUNT),
        "pose": pose,
    }


def with_parts(
    codes: NDArray[np.float32], others: NDArray[np.float32], parts: frozenset[str]
) -> NDArray[np.float32]:
    """Codes whose named parts come from other ones, such as the shape of a person.

    Args:
        codes: (..., 236).
        others: (..., 236).
        parts: names of `CODE_PARTS`.

    Raises:
        ValueError: there is no such part.
    """
    unknown = parts - CODE_PARTS.keys()
    if unknown:
        raise ValueError(
            f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(CODE_PARTS)}"
        )
    mixed = np.array(codes)
    for part in parts:
        mixed[..., CODE_PARTS[part]] = others[..., CODE_PARTS[part]]
    return mixed


def _padded(values: Array, count: int) -> Array:
    return np.pad(values, ((0, 0), (0, count - values.shape[1])))
