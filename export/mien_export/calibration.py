# SPDX-License-Identifier: Apache-2.0
"""Calibration images: aligned faces that show the int8 graph which values occur.

Letters: N images. The last fifth is held out, to judge the result on images it has not seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mien_export.errors import CalibrationError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_FEWEST = 5
_HELD_OUT_PART = 5  # one in five
_MOST_HELD_OUT = 64  # more would not change a worst-case cosine, only take time


@dataclass(frozen=True)
class CalibrationSet:
    """Images in RGB.

    Attributes:
        images: (N, px, px, 3) uint8.
    """

    images: npt.NDArray[np.uint8]

    @property
    def digest(self) -> str:
        """SHA-256 of the pixels in order."""
        content = f"{self.images.shape}".encode() + np.ascontiguousarray(self.images).tobytes()
        return hashlib.sha256(content).hexdigest()

    @property
    def held_out_count(self) -> int:
        """How many images at the end judge instead of calibrate."""
        return min(max(len(self.images) // _HELD_OUT_PART, 1), _MOST_HELD_OUT)

    def calibrating(self) -> npt.NDArray[np.float32]:
        """Give (N', 3, px, px) RGB 0..255 for calibration."""
        return _network_input(self.images[: -self.held_out_count])

    def held_out(self) -> npt.NDArray[np.float32]:
        """Give (N'', 3, px, px) RGB 0..255 that calibration does not see."""
        return _network_input(self.images[-self.held_out_count :])


def _network_input(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32))


def read_calibration(path: Path, px: int) -> CalibrationSet:
    """Read calibration images in the order of their names.

    Args:
        path: a directory of JPEG or PNG files, or one ``.npy`` or ``.npz`` of (N, px, px, 3) uint8.
        px: side that every image must have.

    Raises:
        CalibrationError: nothing there, too few images, or images of the wrong kind.
    """
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
    if len(images) < _FEWEST:
        raise CalibrationError(
            f"calibration {path} has {len(images)} images; expected at least {_FEWEST}, better "
            "some hundred, of the kind the network will see."
        )
    return CalibrationSet(images)


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
