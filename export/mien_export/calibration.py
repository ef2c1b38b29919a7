# SPDX-License-Identifier: Apache-2.0
"""Calibration inputs show the int8 graph which values occur.

A graph that takes aligned faces is calibrated with images, any other with the arrays that it takes.
Letters: N samples. The last fifth is held out, to judge the result on what it has not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mien_export.contract import ModelContract
from mien_export.errors import CalibrationError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_FEWEST = 5
_HELD_OUT_PART = 5  # one in five
_MOST_HELD_OUT = 64  # more would not change a worst-case cosine, only take time

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class CalibrationSet:
    """What a graph is calibrated with.

    Attributes:
        arrays: by the graph's input: (N, px, px, 3) uint8 images in RGB, or (N, ...) float32.
    """

    arrays: Arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def digest(self) -> str:
        """SHA-256 of names, shapes and values in order."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def held_out_count(self) -> int:
        """How many samples at the end judge instead of calibrate."""
        return min(max(len(self) // _HELD_OUT_PART, 1), _MOST_HELD_OUT)

    def calibrating(self) -> Arrays:
        """Give (N', ...) float32 by input for calibration; images as (N', 3, px, px) in 0..255."""
        return {n: _network_input(a[: -self.held_out_count]) for n, a in self.arrays.items()}

    def held_out(self) -> Arrays:
        """Give (N'', ...) float32 by input that calibration does not see."""
        return {n: _network_input(a[-self.held_out_count :]) for n, a in self.arrays.items()}


def _network_input(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.dtype == np.uint8:
        array = array.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(array.astype(np.float32))


def read_calibration(path: Path, contract: ModelContract) -> CalibrationSet:
    """Read what a graph is calibrated with.

    Args:
        path: for a graph that takes one image, a directory of JPEG or PNG files (taken in the order
            of their names), or one ``.npy`` or ``.npz`` of (N, px, px, 3) uint8; for any other, an
            ``.npz`` with an array (N, *dims) for each input, under its name.
        contract: of the graph.

    Raises:
        CalibrationError: nothing there, too few samples, or arrays of the wrong kind.
    """
    only = contract.inputs[0]
    if len(contract.inputs) == 1 and len(only.dims) == 3 and only.dims[0] == 3:
        arrays: Arrays = {only.name: _read_images(path, only.dims[-1])}
    else:
        arrays = _read_inputs(path, contract)
    count = len(next(iter(arrays.values())))
    if count < _FEWEST:
        raise CalibrationError(
            f"calibration {path} has {count} samples; expected at least {_FEWEST}, better some "
            "hundred, of the kind the network will see."
        )
    return CalibrationSet(arrays)


def _read_images(path: Path, px: int) -> npt.NDArray[np.uint8]:
    if path.is_dir():
        images = _from_directory(path, px)
    elif path.is_file() and path.suffix in (".npy", ".npz"):
        images = _from_array_file(path)
    else:
        raise CalibrationError(
            f"calibration {path} is neither a directory nor an .npy or .npz file. Give a directory "
            f"of aligned {px}x{px} face crops as JPEG or PNG, or an array (N, {px}, {px}, 3) uint8."
        )
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (px, px, 3):
        raise CalibrationError(
            f"calibration {path} has shape {images.shape} and dtype {images.dtype}; expected "
            f"(N, {px}, {px}, 3) uint8, RGB. Save the crops without normalising them."
        )
    return images


def _read_inputs(path: Path, contract: ModelContract) -> Arrays:
    wanted = {item.name: tuple(item.dims) for item in contract.inputs}
    shown = ", ".join(f"{name} (N, {', '.join(map(str, d))})" for name, d in wanted.items())
    if not (path.is_file() and path.suffix == ".npz"):
        raise CalibrationError(
            f"calibration {path} is no .npz file; {contract.name} is calibrated with the arrays "
            f"that it takes: give an .npz of {shown}, all float."
        )
    try:
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError) as error:
        raise CalibrationError(f"calibration {path} is not a plain array file: {error}") from error
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    is_right = set(arrays) == set(wanted) and all(
        arrays[name].shape[1:] == dims and arrays[name].dtype.kind == "f"
        for name, dims in wanted.items()
    )
    if not is_right or len(counts) != 1:
        found = ", ".join(f"{name} {a.shape} {a.dtype}" for name, a in sorted(arrays.items()))
        raise CalibrationError(
            f"calibration {path} holds {found or 'nothing'}; expected {shown}, all float, with as "
            "many samples each."
        )
    broken = sorted(name for name, array in arrays.items() if not np.isfinite(array).all())
    if broken:
        raise CalibrationError(
            f"calibration {path} has values that are not finite in {', '.join(broken)}. Leave such "
            "samples out."
        )
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _from_array_file(path: Path) -> npt.NDArray[np.uint8]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = sorted(loaded.files)
            if len(names) != 1:
                raise CalibrationError(
                    f"calibration {path} holds the arrays {names}; expected exactly one."
                )
            array: npt.NDArray[np.uint8] = loaded[names[0]]
            return array
    except (ValueError, OSError, EOFError) as error:
        raise CalibrationError(f"calibration {path} is not a plain array file: {error}") from error


def _from_directory(path: Path, px: int) -> npt.NDArray[np.uint8]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise CalibrationError(
            f"calibration {path} holds no {', '.join(_SUFFIXES)} files; expected aligned face "
            f"crops of {px}x{px} pixels."
        )
    return np.stack([_image(file, px) for file in files])


def _image(file: Path, px: int) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            if image.size != (px, px):
                raise CalibrationError(
                    f"calibration image {file.name} is {image.width}x{image.height}; expected "
                    f"{px}x{px}. Align the faces first (face_cropper's crop_{px})."
                )
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise CalibrationError(f"calibration image {file.name} cannot be read: {error}") from error
