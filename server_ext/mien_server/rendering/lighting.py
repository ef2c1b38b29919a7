# SPDX-License-Identifier: Apache-2.0
"""Second-order spherical-harmonics lighting with DECA's constants.

DECA's `decalib/utils/renderer.py`, `add_SHlight`, after Ramamoorthi and Hanrahan, "An Efficient
Representation for Irradiance Environment Maps" (2001). A light is (9, 3): one RGB coefficient for
each function of the basis, so that flattened it is DECA's code of 27, coefficient-major.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SH_CONSTANTS", "sh_basis", "shading"]

_QUADRATIC = 3 * math.pi / 4 * math.sqrt(5 / (12 * math.pi))

# Of 1, x, y, z, xy, xz, yz, x^2 - y^2, 3z^2 - 1.
SH_CONSTANTS: tuple[float, ...] = (
    1 / math.sqrt(4 * math.pi),
    *[2 * math.pi / 3 * math.sqrt(3 / (4 * math.pi))] * 3,
    *[_QUADRATIC] * 3,
    _QUADRATIC / 2,
    math.pi / 8 * math.sqrt(5 / (4 * math.pi)),
)


def sh_basis(normals: ArrayLike) -> NDArray[np.float32]:
    """The nine functions at each normal, constants included.

    Args:
        normals: (..., 3) in world space; they need not be of length 1, DECA's are not.

    Returns:
        (..., 9) float32.
    """
    array = np.asarray(normals, dtype=np.float32)
    x, y, z = array[..., 0], array[..., 1], array[..., 2]
    functions = (np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1)
    basis: NDArray[np.float32] = np.stack(functions, axis=-1)
    basis *= np.array(SH_CONSTANTS, np.float32)
    return basis


def shading(normals: ArrayLike, light: ArrayLike) -> NDArray[np.float32]:
    """Light that falls on a surface: what albedo is multiplied with.

    Args:
        normals: (..., 3) in world space; with several lights (B, ..., 3).
        light: (9, 3) or (27,) for all normals, or (B, 9, 3) or (B, 27) for B sets of them.

    Returns:
        (..., 3) float32 RGB, not clamped: strong directional lights make it negative.

    Raises:
        ValueError: light has another shape.
    """
    coefficients = np.asarray(light, dtype=np.float32)
    if coefficients.shape[-1:] == (27,):
        coefficients = coefficients.reshape(*coefficients.shape[:-1], 9, 3)
    if coefficients.ndim not in (2, 3) or coefficients.shape[-2:] != (9, 3):
        raise ValueError(
            f"light has shape {np.shape(light)}; it must be (9, 3), (27,), (B, 9, 3) or (B, 27)"
        )
    basis = sh_basis(normals)
    if coefficients.ndim == 2:
        lit: NDArray[np.float32] = basis @ coefficients
        return lit
    flat = basis.reshape(len(coefficients), -1, 9) @ coefficients
    return flat.reshape(*basis.shape[:-1], 3)
