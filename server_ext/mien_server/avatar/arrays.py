# SPDX-License-Identifier: Apache-2.0
"""Checks of the arrays and names that an avatar is made of."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["checked_name", "colours", "real_numbers", "whole_numbers"]

# Names end up in file names and in lines of text files.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def checked_name(name: str, what: str) -> str:
    """The name, if it can stand in any file format.

    Raises:
        ValueError: it is empty, longer than 64, or has other characters than letters of ASCII,
            digits, - and _, or begins with - or _.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{what} is called {name!r}; a name has 1 to 64 letters a-z and A-Z, digits, - and _, "
            "and begins with a letter or a digit"
        )
    return name


def real_numbers(given: ArrayLike, shape: tuple[int | None, ...], what: str) -> NDArray[np.float32]:
    """A copy-free, read-only float32 array of finite numbers.

    Args:
        given: anything that numpy takes for an array of numbers.
        shape: what it must have; None where any size will do.
        what: its name in errors.

    Raises:
        ValueError: another shape, or a number that is not finite.
    """
    array = np.ascontiguousarray(given, np.float32)
    _check_shape(array, shape, what)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} has values that are not finite")
    return _read_only(array)


def whole_numbers(
    given: ArrayLike, shape: tuple[int | None, ...], below: int, what: str
) -> NDArray[np.int32]:
    """A read-only int32 array of numbers from 0 up to but not including `below`.

    Raises:
        ValueError: another shape, no whole numbers, or one out of range.
    """
    array = np.asarray(given)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{what} is {array.dtype}; it must hold whole numbers")
    _check_shape(array, shape, what)
    if array.size and (array.min() < 0 or array.max() >= below):
        raise ValueError(
            f"{what} has numbers from {array.min()} to {array.max()}; they must lie within 0 and "
            f"{below - 1}"
        )
    return _read_only(np.ascontiguousarray(array, np.int32))


def colours(given: ArrayLike, points: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """(3,) one colour of all points, or one of each, in sRGB from 0 to 1.

    Args:
        given: (3,), or the shape of `points`.
        points: (..., 3) what has the colour.
        what: its name in errors.

    Raises:
        ValueError: another shape, or a number out of range.
    """
    array = np.ascontiguousarray(given, np.float32)
    if array.shape not in ((3,), points.shape):
        raise ValueError(f"{what} has shape {array.shape}; it must be (3,) or {points.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{what} has values outside 0 to 1; give sRGB as fractions")
    return _read_only(array)


def _check_shape(array: NDArray[Any], shape: tuple[int | None, ...], what: str) -> None:
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{what} has shape {array.shape}; it must be ({wanted})")


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
