# SPDX-License-Identifier: Apache-2.0
"""Aligned faces with the identity of each: what error rates are measured on.

Letters: N images, I identities.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien_export.errors import CalibrationError

_ARRAYS = ("crops", "identities")


@dataclass(frozen=True)
class LabelledCrops:
    """Images in RGB, and whose they are.

    Attributes:
        crops: (N, px, px, 3) uint8.
        identities: (N,) int32, 0 to I - 1 in the order of the labels in the file.
    """

    crops: npt.NDArray[np.uint8]
    identities: npt.NDArray[np.int32]

    @property
    def identity_count(self) -> int:
        """How many different identities there are, I."""
        return int(self.identities.max()) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of pixels and identities in order; how the identities are called is left out."""
        digest = hashlib.sha256(f"{self.crops.shape}".encode())
        digest.update(np.ascontiguousarray(self.crops).data)
        digest.update(self.identities.astype("<i4").tobytes())
        return digest.hexdigest()


def read_labelled_crops(path: Path, px: int) -> LabelledCrops:
    """Read an ``.npz`` with ``crops`` (N, px, px, 3) uint8 RGB and ``identities`` (N,).

    Args:
        path: the file; other arrays in it are not looked at.
        px: side that every crop must have.

    Raises:
        CalibrationError: the file is missing, damaged, or holds something else.
    """
    try:
        # Opened first: numpy would leave the file open where it then finds no archive in it.
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise CalibrationError(f"crops {path} is a single array; {_expected(px)}")
            with archive:
                missing = [name for name in _ARRAYS if name not in archive.files]
                if missing:
                    raise CalibrationError(
                        f"crops {path} holds the arrays {sorted(archive.files)}, without "
                        f"{' and '.join(missing)}; {_expected(px)}"
                    )
                crops, identities = (archive[name] for name in _ARRAYS)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"crops {path} cannot be read: {error}; {_expected(px)}") from error
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (px, px, 3):
        raise CalibrationError(
            f"crops {path}: crops has shape {crops.shape} and dtype {crops.dtype}; {_expected(px)}"
        )
    if identities.shape != crops.shape[:1] or identities.dtype.kind not in "iuUS":
        raise CalibrationError(
            f"crops {path}: identities has shape {identities.shape} and dtype {identities.dtype} "
            f"for {len(crops)} crops; {_expected(px)}"
        )
    if not len(crops):
        raise CalibrationError(f"crops {path} holds no crop; {_expected(px)}")
    codes = np.unique(identities, return_inverse=True)[1].astype(np.int32)
    return LabelledCrops(crops, codes)


def _expected(px: int) -> str:
    return (
        f"expected an .npz with crops (N, {px}, {px}, 3) uint8 RGB, aligned as face_cropper's "
        f"crop_{px}, and identities (N,), integers or strings. Write it with numpy.savez."
    )
